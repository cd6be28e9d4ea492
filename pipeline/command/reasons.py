"""Reasons: from an exception, perhaps one that a runner has passed on as text, to one sentence."""

import errno
import os
import re

# What Beam adds to an exception's text on its way from a worker: a traceback before it, and the
# step after it.
_STEP = re.compile(r" \[while running '[^']*'\]")
_OURS = re.compile(r"^(?:pipeline|builtins)\.[\w.]*?(\w+): ")
# How gRPC words what a job server has answered.
_GRPC_DETAILS = re.compile(r'^\s*details = "(.+)"$', re.MULTILINE)
# What Python puts before the words of the system.
_NUMBER = re.compile(r"^(?:\w+: )?\[Errno \d+\] ")
_ERROR_LINE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Pool): ")


def is_a(kind: type[Exception], error: BaseException) -> bool:
    """Tells whether an error is of a kind; runners with workers pass on only the error's text."""
    return isinstance(error, kind) or kind.__name__ in str(error)


def is_full(error: BaseException) -> bool:
    """Tells whether an error is that of a disk that is full, or of a quota."""
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))


def of(error: BaseException) -> str:
    """Returns the reason that an error's text gives.

    That is the last line that names an exception; the lines before it are the traceback.
    """
    text = str(error) or type(error).__name__
    if details := _GRPC_DETAILS.search(text):
        return f"the engine refuses the job: {details[1]}"
    lines = [line.strip() for line in _STEP.sub("", text).splitlines() if line.strip()]
    named = [line for line in lines if _ERROR_LINE.match(line)] or lines[-1:]
    return _NUMBER.sub("", _OURS.sub("", named[-1]))

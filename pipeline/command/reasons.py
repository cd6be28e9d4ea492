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
_ERROR_LINE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Pool): ")


def is_a(kind: type[Exception], error: BaseException) -> bool:
    """Tells whether an error is of a kind; runners with workers pass on only the error's text."""
    return isinstance(error, kind) or kind.__name__ in str(error)


def of(error: BaseException) -> str:
    """Returns the reason that an error's text gives, and the way out if one is known.

    That is the last line that names an exception; the lines before it are the traceback.
    """
    text = str(error) or type(error).__name__
    if details := _GRPC_DETAILS.search(text):
        return f"the engine refuses the job: {details[1]}"
    lines = [line.strip() for line in _STEP.sub("", text).splitlines() if line.strip()]
    named = [line for line in lines if _ERROR_LINE.match(line)] or lines[-1:]
    reason = _OURS.sub("", named[-1])
    full = any(os.strerror(number) in reason for number in (errno.ENOSPC, errno.EDQUOT))
    return f"{reason}; free some, or stage elsewhere with --temp" if full else reason

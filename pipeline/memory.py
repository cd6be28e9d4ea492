"""Giving freed memory back to the operating system."""

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # malloc.h of the GNU C library
_BYTES = 1 << 20


def give_back_when_freed() -> None:
    """Makes the C library return blocks of a megabyte or more as soon as they are freed.

    Otherwise it raises that size by itself, up to 32 MiB, keeps freed blocks for later and, where
    blocks of many sizes come and go, is left with a third more memory than is in use. Does nothing
    where the C library is not GNU's.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _BYTES)

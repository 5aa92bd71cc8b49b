"""Random digits, of which the kernel is asked for many at a time.

Asking it gives the interpreter's lock away for the time of a system call, and wakes a thread that waits for the lock:
beside 16 connections that cost several times what the digits do.
"""

from __future__ import annotations

import os

DIGITS = 32
DRAWN = 256

_waiting: list[str] = []


def random_digits(number: int = DIGITS) -> str:
    """So many hexadecimal digits, at most 32, as good as `os.urandom`. Safe for any number of threads."""
    try:
        return _waiting.pop()[:number]
    except IndexError:
        drawn = os.urandom(DRAWN * DIGITS // 2).hex()
        _waiting.extend(drawn[start : start + DIGITS] for start in range(DIGITS, len(drawn), DIGITS))
        return drawn[:number]


if hasattr(os, "register_at_fork"):
    # Both would go on with the same digits.
    os.register_at_fork(after_in_child=_waiting.clear)

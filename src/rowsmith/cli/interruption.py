"""Ctrl-C that is heard while the main thread waits."""

from __future__ import annotations

import signal


def hear_ctrl_c() -> None:
    """Let SIGINT wake a waiting main thread.

    Polars installs a handler of its own when it is imported, under which a wait for a lock is taken up again instead
    of being interrupted, so that Python never gets to raise KeyboardInterrupt. This undoes that part of it.
    """
    import polars  # noqa: F401  # imported first, so that it does not undo this in turn

    if hasattr(signal, "siginterrupt"):
        signal.siginterrupt(signal.SIGINT, True)

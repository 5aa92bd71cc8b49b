"""Behind: work goes on in a thread while the caller goes on, which is told of its errors at the next chance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Behind:
    """One thread that does what it is handed, in order; `waiting` pieces of work may be with it at a time.

    polars, NumPy and hashlib let other threads run meanwhile. At the end of the block no work is left: after an error
    what has not begun is given up.
    """

    def __init__(self, name: str, *, waiting: int = 1) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting = waiting
        self._work: deque[Future[Any]] = deque()

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def do(self, work: Callable[..., object], *arguments: object) -> None:
        """Raises what earlier work raised."""
        while len(self._work) >= self._waiting:
            self._work.popleft().result()
        self._work.append(self._pool.submit(work, *arguments))

    def finish(self) -> None:
        """Wait for all of it. Raises what it raised."""
        while self._work:
            self._work.popleft().result()

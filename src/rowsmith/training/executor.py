"""Where units of work run. Everything is written against `concurrent.futures.Executor`.

`Workplace` is what the supervisor in `search.py` sees: submit a unit, wait for some, replace the executor when a
worker died, and stop at once. Local processes come from loky: unlike the standard library's they start from a
script without a main guard, and they can be killed in the middle of their work.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from rowsmith.training.data import TrainingData
from rowsmith.training.unit import DataReference, Unit, UnitResult, prepare_worker, run_unit

WORKER_ENVIRONMENT = {
    # A thread that waits must not spin: on a busy machine that costs twenty times the time.
    "OMP_WAIT_POLICY": "passive",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Fewer arenas and early return of freed pages keep a worker small between its units.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}


class InProcessExecutor(Executor):
    """Runs each task at once, in the caller's thread. For tiny tables and for tests."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as problem:
            future.set_exception(problem)
        return future


class Workplace:
    """An executor with its data. A context manager: when it ends, no process and no folder of it is left.

    `executor` None starts `workers` local processes when the first unit is submitted; they map the data from a
    folder under `work_dir`. A given one is used as it is and never shut down; it gets the data with every unit,
    since its workers may be on other machines.
    """

    def __init__(
        self, data: TrainingData, *, workers: int, threads: int, executor: Executor | None, work_dir: Path | None
    ) -> None:
        self.workers = workers
        self._threads = threads
        self._data = data
        self._given = executor
        self._own: Any = None
        self._work_dir = work_dir
        self._folder: Path | None = None
        self._reference: DataReference | None = None

    def submit(self, unit: Unit) -> Future[UnitResult]:
        if self._reference is None:
            self._reference = self._place_data()
        executor = self._given if self._given is not None else self._local()
        return executor.submit(run_unit, self._reference, unit)

    def wait(self, futures: set[Future[UnitResult]], seconds: float | None) -> set[Future[UnitResult]]:
        """Those that are done, at the latest after `seconds`."""
        return wait(futures, timeout=seconds, return_when=FIRST_COMPLETED).done

    @property
    def can_kill(self) -> bool:
        """Whether a unit that hangs can be ended."""
        return self._given is None

    def replace(self) -> None:
        """Kill every worker; the next unit starts new ones."""
        if self._own is not None:
            own, self._own = self._own, None
            own.shutdown(wait=True, kill_workers=True)

    def __enter__(self) -> Workplace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.replace()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _place_data(self) -> DataReference:
        if self._given is not None:
            return self._data
        self._folder = Path(tempfile.mkdtemp(prefix="rowsmith-", dir=self._work_dir))
        self._data.save(self._folder)
        return self._folder

    def _local(self) -> Any:
        if self._own is None:
            from loky import ProcessPoolExecutor

            threads = str(self._threads)
            environment = WORKER_ENVIRONMENT | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
            self._own = ProcessPoolExecutor(
                self.workers, env=environment, initializer=prepare_worker, initargs=(environment,)
            )
        return self._own


def worker_died(problem: BaseException) -> bool:
    """Whether a future failed because its process ended (killed for memory, crashed), not because of an error."""
    return isinstance(problem, BrokenExecutor)

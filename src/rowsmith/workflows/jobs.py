"""Batch jobs: files that a server was asked to score, and how far it is with each of them.

A job is a folder of the store, so that it outlives every process:

    job.json         what was asked, never changed
    status.json      how far it is, replaced in one step
    cancel           somebody does not want it any more
    upload<.csv ...> the file, where it was sent; gone when the job has ended
    parts/           what is scored so far (see parts.py); gone when the job has ended
    scores.parquet   the result
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from rowsmith.errors import Fault, NotFoundError, RowsmithError, SchemaError, StorageError, UsageError
from rowsmith.ingestion.sources import read_batches
from rowsmith.ingestion.sources.formats import known_extensions
from rowsmith.ingestion.sources.local_file import PACKED_EXTENSIONS
from rowsmith.storage.files import inside, write_atomically, writing_to
from rowsmith.storage.locks import alone
from rowsmith.types import JsonObject
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.parts import DONE, Parts
from rowsmith.workflows.project import Project

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})

ID = re.compile(r"[0-9a-f]{32}")
JOB_FILE, STATUS_FILE, CANCEL_FILE, PARTS, SCORES_FILE = "job.json", "status.json", "cancel", "parts", "scores.parquet"
INCOMING, LOCK_FILE = ".incoming-", "runner.lock"
ABANDONED_SECONDS = 24 * 3600.0
MOST_WAITING = 100
MAX_FAULTS = 100
MOST_ATTEMPTS = 3
"""Of a process that ends without getting any further."""
LINES_ARE_ROWS = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """`source` is the name of the upload in the job's folder, or a path of this machine. `name` is for people.

    `size` and `changed` (nanoseconds) are those of the source when it was asked about: a job that goes on after a
    restart must find the same rows.
    """

    id: str
    name: str
    created: str
    created_by: str
    source: str
    is_upload: bool
    size: int
    changed: int
    model: str
    version: int
    keep_inputs: bool
    log: bool


@dataclass(frozen=True, slots=True)
class Status:
    """`expected_rows` is None where nobody knows. `error` is a sentence, `faults` say more of rows that do not fit."""

    state: State = "waiting"
    rows: int = 0
    expected_rows: int | None = None
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    attempts: int = 0
    error: str = ""
    faults: tuple[Fault, ...] = ()
    faults_total: int = 0
    warnings: tuple[Fault, ...] = field(default=())

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None where nobody knows."""
        if self.state == "done":
            return 1.0
        if not self.expected_rows:
            return None
        return min(self.rows / self.expected_rows, 0.99)


@dataclass(frozen=True, slots=True)
class Known:
    job: Job
    status: Status


class Cancelled(Exception):
    """The job is not wanted any more."""


class JobStore:
    """The jobs of a store. Safe for any number of threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- asking --------------------------------------------------------------------------------------------

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A folder to put an upload into, which `add` then makes a job of; gone at the end where it did not."""
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            place = self.folder / f"{INCOMING}{secrets.token_hex(16)}"
            place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def add(
        self,
        place: Path,
        source: Path,
        *,
        name: str,
        created_by: str,
        model: str,
        version: int,
        keep_inputs: bool,
        log: bool,
    ) -> Known:
        """Make a job of a folder that `incoming` gave. Raises UsageError while too many are waiting, StorageError."""
        if sum(1 for _ in self.unfinished()) >= MOST_WAITING:
            raise UsageError("too many jobs are waiting", received=str(MOST_WAITING), next_step="try again later")
        is_upload = source.parent == place
        with writing_to(place):
            facts = source.stat()
            job = Job(
                id=secrets.token_hex(16),
                name=name,
                created=_now(),
                created_by=created_by,
                source=source.name if is_upload else str(source),
                is_upload=is_upload,
                size=facts.st_size,
                changed=facts.st_mtime_ns,
                model=model,
                version=version,
                keep_inputs=keep_inputs,
                log=log,
            )
            write_atomically(place / STATUS_FILE, _dumped(Status()))
            write_atomically(place / JOB_FILE, json.dumps(asdict(job), ensure_ascii=False))
            os.rename(place, self._place(job.id))
        return Known(job, Status())

    def get(self, id_: str) -> Known:
        """Raises NotFoundError."""
        place = self._place(id_) if ID.fullmatch(id_) else None
        try:
            if place is None:
                raise FileNotFoundError
            job = Job(**json.loads((place / JOB_FILE).read_text(encoding="utf-8")))
            status = _loaded((place / STATUS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotFoundError("there is no such job; jobs are kept for some hours after they end") from None
        if status.state not in ENDED and (place / CANCEL_FILE).exists():
            status = replace(status, state="cancelled")
        return Known(job, status)

    def list(self) -> list[Known]:
        """The newest first."""
        found = [self.get(place.name) for place in self._folders()]
        return sorted(found, key=lambda known: (known.job.created, known.job.id), reverse=True)

    def unfinished(self) -> Iterator[Known]:
        """The oldest first."""
        yield from (known for known in reversed(self.list()) if known.status.state not in ENDED)

    def cancel(self, id_: str) -> Known:
        """Ask that a job ends; one that has ended stays as it is. Raises NotFoundError, StorageError."""
        known = self.get(id_)
        if known.status.state in ENDED:
            return known
        with writing_to(self.folder):
            (self._place(id_) / CANCEL_FILE).touch()
        return self.get(id_)

    def is_cancelled(self, id_: str) -> bool:
        return (self._place(id_) / CANCEL_FILE).exists()

    def result(self, id_: str) -> Path:
        """The Parquet file of a job that is done."""
        return self._place(id_) / SCORES_FILE

    def source(self, job: Job) -> Path:
        return inside(self._place(job.id), job.source) if job.is_upload else Path(job.source)

    # -- working -------------------------------------------------------------------------------------------

    def alone(self) -> AbstractContextManager[bool]:
        """Whether this process alone works on jobs inside the block."""
        return alone(self.folder / LOCK_FILE)

    def note(self, id_: str, status: Status) -> None:
        """Replace the status; what only the work needed goes once the job has ended. Raises StorageError."""
        place = self._place(id_)
        write_atomically(place / STATUS_FILE, _dumped(status))
        if status.state in ENDED:
            self._clear(place)

    def settle(self) -> None:
        """Give jobs that were cancelled their end."""
        for place in self._folders():
            if (place / CANCEL_FILE).exists():
                status = _loaded((place / STATUS_FILE).read_text(encoding="utf-8"))
                if status.state not in ENDED:
                    self.note(place.name, replace(status, state="cancelled", ended=_now()))

    def tidy(self, hours: float) -> None:
        """Remove jobs that ended so many hours ago, and uploads that never became one."""
        now = time.time()
        for place in self._folders():
            known = self.get(place.name)
            if known.status.ended and now - datetime.fromisoformat(known.status.ended).timestamp() > hours * 3600:
                shutil.rmtree(place, ignore_errors=True)
        for place in self.folder.glob(f"{INCOMING}*"):
            if now - place.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(place, ignore_errors=True)

    def parts(self, id_: str) -> Path:
        place = self._place(id_) / PARTS
        place.mkdir(exist_ok=True)
        return place

    def scored(self, id_: str) -> Sequence[Path]:
        """The finished parts of a job, as far as there are any."""
        return sorted((self._place(id_) / PARTS).glob(f"*{DONE}"))

    def holds_rows(self, id_: str) -> bool:
        """Whether what was uploaded for a job, or scored so far, is still there, or may still come."""
        place = self._place(id_)
        is_over = _loaded((place / STATUS_FILE).read_text(encoding="utf-8")).state in ENDED
        return not is_over or (place / PARTS).exists() or any(place.glob("upload*"))

    def _clear(self, place: Path) -> None:
        shutil.rmtree(place / PARTS, ignore_errors=True)
        for upload in place.glob("upload*"):
            upload.unlink(missing_ok=True)

    def _place(self, id_: str) -> Path:
        return inside(self.folder, id_)

    def _folders(self) -> Iterator[Path]:
        for place in self.folder.glob("*"):
            if ID.fullmatch(place.name) and (place / JOB_FILE).is_file():
                yield place


def jobs_of(project: Project) -> JobStore:
    return JobStore(project.store / "jobs")


# -- the work ----------------------------------------------------------------------------------------------


def run_job(project: Project, id_: str) -> None:
    """Score a job from where it is to its end. What is wrong with the rows ends it; what is wrong with the machine is
    raised, so that it is tried again: StorageError, and whatever is not Rowsmith's own."""
    store = jobs_of(project)
    known = store.get(id_)
    status = replace(
        known.status,
        state="running",
        started=known.status.started or _now(),
        attempts=known.status.attempts + 1,
        expected_rows=known.status.expected_rows or count_rows(store.source(known.job)),
    )
    store.note(id_, status)
    try:
        status = _score(project, store, known.job, status)
    except Cancelled:
        store.note(id_, replace(store.get(id_).status, state="cancelled", ended=_now()))
        return
    except StorageError:
        raise
    except RowsmithError as problem:
        store.note(id_, _failed(status, problem))
        return
    store.note(id_, status)


def give_up(store: JobStore, known: Known) -> bool:
    """After its process has ended without an end of the job: whether it was tried often enough, and so has failed."""
    if known.status.state in ENDED or known.status.attempts < MOST_ATTEMPTS:
        return False
    sentence = (
        "The process that scores it ended several times without getting further, perhaps for want of memory "
        "(ROWSMITH_JOB_MEMORY_MB); the server's log says more."
    )
    store.note(known.job.id, replace(known.status, state="failed", error=sentence, ended=_now()))
    return True


def _score(project: Project, store: JobStore, job: Job, status: Status) -> Status:
    source = store.source(job)
    _expect_unchanged(job, source)
    version = project.version(job.version, job.model)
    deployed = deploy(project, version)
    parts = Parts(store.parts(job.id), deployed, keep_inputs=job.keep_inputs, with_ids=job.log)
    began = time.monotonic()

    def on_part(rows: int) -> None:
        nonlocal status
        if store.is_cancelled(job.id):
            raise Cancelled
        if rows > status.rows:  # further than ever: whatever ended the last process is not in these rows
            seconds = status.seconds + time.monotonic() - began
            store.note(job.id, replace(status, rows=rows, attempts=1, seconds=seconds))
            status = replace(status, rows=rows, attempts=1)

    options = project.recipe.data.model_copy(update={"source": None})
    reading = read_batches(source, options)
    rows = parts.score(reading.batches, job.name, on_part)
    warnings, whole = parts.warnings(), parts.join(".parquet")
    if job.log:
        champion = project.registry.champion(version.name)
        role: Literal["champion", "named"] = (
            "champion" if champion is not None and champion.number == version.number else "named"
        )
        parts.keep(project.log, role)
    with writing_to(whole):
        os.replace(whole, store.result(job.id))
    seconds = round(status.seconds + time.monotonic() - began, 3)
    return replace(status, state="done", rows=rows, seconds=seconds, warnings=warnings, ended=_now())


def _expect_unchanged(job: Job, source: Path) -> None:
    try:
        facts = source.stat()
    except OSError:
        facts = None
    if facts is None or (facts.st_size, facts.st_mtime_ns) != (job.size, job.changed):
        raise UsageError("the file was changed or removed after it was asked about", next_step="ask again")


def _failed(status: Status, problem: RowsmithError) -> Status:
    faults = tuple(problem.faults) if isinstance(problem, SchemaError) else ()
    error = ". ".join(text[:1].upper() + text[1:] for text in (problem.what, problem.next_step) if text)
    return replace(
        status,
        state="failed",
        error=f"{error.rstrip('.')}.",
        faults=faults[:MAX_FAULTS],
        faults_total=len(faults),
        ended=_now(),
    )


def count_rows(path: Path) -> int | None:
    """For progress, at the speed of the disk; an estimate where texts hold line breaks. None where it would cost."""
    try:
        if path.suffix.lower() == ".parquet":
            return int(pl.scan_parquet(path).select(pl.len()).collect().item())
        if path.suffix.lower() in LINES_ARE_ROWS:
            with path.open("rb") as file:
                lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK_BYTES), b""))
            return max(lines - (path.suffix.lower() in (".csv", ".tsv")), 1)
    except (OSError, pl.exceptions.PolarsError):
        pass  # whoever reads the rows says what is wrong with the file
    return None


def extension_of(name: str) -> str:
    """`.csv`, `.csv.gz`, ... of a name that a file of ours may have; empty for one that is not read."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    if suffixes and suffixes[-1] in known_extensions():
        return suffixes[-1]
    if len(suffixes) == 2 and suffixes[0] in known_extensions() and suffixes[1] in PACKED_EXTENSIONS:
        return "".join(suffixes)
    return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _dumped(status: Status) -> str:
    return json.dumps(asdict(status), ensure_ascii=False)


def _loaded(text: str) -> Status:
    data: JsonObject = json.loads(text)
    for key in ("faults", "warnings"):
        data[key] = tuple(Fault(**fault) for fault in data[key])
    return Status(**data)

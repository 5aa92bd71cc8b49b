"""Erasure: what a project keeps about somebody who asks to be forgotten, found, counted, and removed for good.

    values of a column, or ids of predictions
      -> batch jobs: rows of results, and the ids that their predictions have in the log
      -> the prediction log: journals, database and files; outcomes go with their predictions
      -> snapshots: made anew without the rows; versions that were trained on them are named

Some predictions are known only by what a job's result says of them, some rows of a result only by the prediction. So
that work which is cut off can go on, the ids of all that is to go are written down before the first of it goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rowsmith.conform.sought import Sought
from rowsmith.errors import SourceError, UsageError
from rowsmith.monitoring.log_erasure import LogErasure, LogFound
from rowsmith.monitoring.log_privacy import Privacy
from rowsmith.monitoring.log_whom import Whom
from rowsmith.storage import audit
from rowsmith.storage.files import write_atomically, writing_to
from rowsmith.storage.secret_files import secret_file
from rowsmith.types import JsonObject
from rowsmith.workflows import erase_jobs
from rowsmith.workflows.erase_data import DataFound, erase_data, find_data
from rowsmith.workflows.erase_jobs import JobFound
from rowsmith.workflows.jobs import jobs_of
from rowsmith.workflows.project import Project

BEGIN, DONE = "erase.begin", "erase"
IDS = "ids of predictions"
PLAN_FILE = "erasing.json"


@dataclass(frozen=True)
class Person:
    """Who is to be forgotten: by a column and its values, or by ids of predictions alone. Several people are one."""

    sought: Sought | None
    ids: frozenset[str] = frozenset()

    @property
    def by(self) -> str:
        return self.sought.column if self.sought is not None else IDS

    @property
    def values(self) -> int:
        return len(self.sought.texts) if self.sought is not None else len(self.ids)


@dataclass(frozen=True)
class Trace:
    """What there is, or was before it was erased."""

    person: Person
    log: LogFound
    jobs: tuple[JobFound, ...]
    data: DataFound

    @property
    def is_empty(self) -> bool:
        return not self.log and not self.jobs and not self.data

    def to_dict(self) -> JsonObject:
        """Numbers alone: nothing of it tells who it was."""
        return {
            "by": self.person.by,
            "values": self.person.values,
            "predictions": len(self.log.ids),
            "outcomes": self.log.outcomes,
            "log_files": len(self.log.files),
            "job_rows": sum(job.rows for job in self.jobs if not job.is_unfinished),
            "jobs": [job.id for job in self.jobs if not job.is_unfinished],
            "jobs_ended": [job.id for job in self.jobs if job.is_unfinished],
            **self.data.to_dict(),
        }


def person_of(column: str | None, lines: Iterable[str], *, are_ids: bool = False) -> Person:
    """Who is named by lines of text. Raises UsageError, SourceError (no text)."""
    try:
        values = [line.rstrip("\r\n") for line in lines]
    except UnicodeDecodeError as problem:
        raise SourceError("these are no lines of text in UTF-8", next_step="write one value a line") from problem
    if are_ids:
        ids = frozenset(text for value in values if (text := value.strip()))
        if not ids:
            raise UsageError("no prediction is named here", allowed="one id a line")
        return Person(None, ids)
    if not column:
        raise UsageError(
            "which column names a person is not known",
            next_step="name it: rowsmith erase --column COLUMN, or under [columns] subject_id of rowsmith.toml",
        )
    return Person(Sought(column, values))


def find(project: Project, person: Person) -> Trace:
    """What the project keeps about a person, and what an erasure that was cut off has left; changes nothing.

    Raises StorageError.
    """
    if project.is_empty:
        return Trace(person, LogFound(), (), DataFound())
    ids = person.ids | _left_over(project)
    jobs = _jobs(project, person, ids)
    log = _log(project).find(_whom(project, person, ids.union(*(job.ids for job in jobs))))
    return Trace(person, log, _jobs(project, person, ids | log.ids), find_data(project, person.sought))


def erase(project: Project, person: Person, *, actor: str = "rowsmith erase") -> Trace:
    """Remove it for good; answers what was there. May be repeated, and goes on where it was cut off.

    Two lines of the audit say what was found and what was erased. Raises StorageError.
    """
    trace = find(project, person)
    if trace.is_empty:
        return trace
    ids = person.ids | trace.log.ids.union(*(job.ids for job in trace.jobs))
    write_atomically(_plan(project), json.dumps(sorted(ids)))
    _note(project, BEGIN, trace, actor)
    log = _log(project).erase(_whom(project, person, ids))
    erase_jobs.erase(jobs_of(project), list(trace.jobs), person.sought, ids | log.ids)
    if person.sought is not None:
        erase_data(project, trace.data, person.sought)
    done = replace(trace, log=log)
    _note(project, DONE, done, actor)
    with writing_to(project.store):
        _plan(project).unlink()
    return done


def _plan(project: Project) -> Path:
    return project.store / PLAN_FILE


def _left_over(project: Project) -> frozenset[str]:
    """Ids of what an earlier erasure, of whomever, had begun to remove."""
    try:
        return frozenset(json.loads(_plan(project).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return frozenset()


def _jobs(project: Project, person: Person, ids: frozenset[str]) -> tuple[JobFound, ...]:
    return tuple(erase_jobs.find(project, jobs_of(project), person.sought, ids))


def _whom(project: Project, person: Person, ids: frozenset[str]) -> Whom:
    """As the log knows a person: by values as they are, by their pseudonyms where it ever kept any, by ids."""
    sought, key = person.sought, project.pseudonym_key
    if sought is not None and key.exists():
        privacy = Privacy(frozenset({sought.column}), "pseudonym", lambda: secret_file(key))
        names = {privacy.pseudonym(sought.column, text) for text in sought.texts}
        sought = Sought(sought.column, sought.texts | names)
    return Whom(sought, ids)


def _log(project: Project) -> LogErasure:
    return LogErasure(project.database, project.log, project.log_archive, project.journals)


def _note(project: Project, action: str, trace: Trace, actor: str) -> None:
    with project.database.writing() as connection:
        audit.record(connection, actor=actor, action=action, subject=trace.person.by, details=trace.to_dict())


def lines_of(path: Path) -> list[str]:
    """The lines of a file. Raises SourceError."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise SourceError("this file cannot be read as lines of text", where=str(path)) from problem

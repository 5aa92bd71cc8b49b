"""Tidying the prediction log: older days into files, the oldest removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rowsmith.errors import UsageError
from rowsmith.monitoring.log_archive import Tidied
from rowsmith.storage import audit
from rowsmith.workflows.project import Project

REMOVED = "log.remove"


def tidy(
    project: Project,
    *,
    compact_days: int,
    keep_days: int,
    actor: str = "rowsmith log tidy",
    now: datetime | None = None,
) -> Tidied:
    """Move what is older than `compact_days` into Parquet files, and remove what is older than `keep_days` for good.

    0 is never. Whole UTC days are moved and removed. What was removed has a line in the audit. Raises UsageError for
    negative days, StorageError.
    """
    if compact_days < 0 or keep_days < 0:
        raise UsageError(
            "a log is kept for a number of days",
            received=str(min(compact_days, keep_days)),
            allowed="0 for ever, or more",
        )
    if project.is_empty:
        return Tidied()
    now = now or datetime.now(UTC)
    done = Tidied()
    if keep_days:
        done = project.log_archive.retain(now - timedelta(days=keep_days))
        if done.removed:
            with project.database.writing() as connection:
                details = {"predictions": done.removed, "files": done.files_removed, "keep_days": keep_days}
                audit.record(connection, actor=actor, action=REMOVED, subject="prediction log", details=details)
    if compact_days:
        moved = project.log_archive.compact(now - timedelta(days=compact_days))
        done = replace(done, moved=moved.moved, files=moved.files)
    return done

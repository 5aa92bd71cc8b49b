"""What the API and the page do with jobs: make one, look at one, each in one way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from flask import Response, send_file

from rowsmith.access.keys import KeyRole
from rowsmith.errors import NotFoundError, UsageError
from rowsmith.ingestion.sources.formats import known_extensions
from rowsmith.serving.errors import MAX_FAULTS, Problem, fault_to_dict
from rowsmith.serving.gate import CALLER, Caller
from rowsmith.serving.services import MEGABYTE, Services
from rowsmith.serving.spreadsheet import write_safe_csv
from rowsmith.serving.uploads import check_upload
from rowsmith.types import JsonObject
from rowsmith.workflows.jobs import ENDED, JobStore, Known, extension_of, jobs_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import FileStorage

MAX_NAME = 120
TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
KINDS = tuple(TYPES)
"""What a result comes as: every bit, or safe to open in a spreadsheet."""
NO_SUCH_JOB = "there is no such job; jobs are kept for some hours after they end"
FULL = "too many jobs are waiting already"


def job_store(site: Services) -> JobStore:
    return jobs_of(site.project)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to score: with the columns of the file beside the scores, by which model (the project's own) and which
    version (the champion)."""

    keep_inputs: bool = False
    model: str = ""
    version: str = ""


def from_upload(site: Services, environ: WSGIEnvironment, file: FileStorage, wanted: Wanted) -> Known:
    """A job of an uploaded file. Raises Problem."""
    extension = extension_of(file.filename or "")
    if not extension:
        raise Problem("unreadable-file", UNKNOWN_KIND.format(", ".join(known_extensions())))
    store = job_store(site)
    with store.incoming() as place:
        source = place / f"upload{extension}"
        file.save(source)
        if source.stat().st_size > site.settings.max_upload_mb * MEGABYTE:
            raise Problem("too-large", f"the file is larger than {site.settings.max_upload_mb} MB")
        name = shown_name(file.filename or "")
        check_upload(source, name=name, max_bytes=site.settings.max_upload_mb * MEGABYTE)
        return _add(site, environ, store, place, source, name, wanted)


def from_path(site: Services, environ: WSGIEnvironment, path: str, wanted: Wanted) -> Known:
    """A job of a file of this machine, below a folder that the settings allow. Raises Problem."""
    source = _allowed(site, path)
    if not extension_of(source.name):
        raise Problem("unreadable-file", UNKNOWN_KIND.format(", ".join(known_extensions())))
    store = job_store(site)
    with store.incoming() as place:
        return _add(site, environ, store, place, source, shown_name(source.name), wanted)


UNKNOWN_KIND = "this kind of file is not read; send one that ends in {}"


def visible(site: Services, environ: WSGIEnvironment, id_: str) -> Known:
    """A job, to whoever made it and to operators. Raises Problem."""
    try:
        known = job_store(site).get(id_)
    except NotFoundError:
        raise Problem("not-found", NO_SUCH_JOB) from None
    if not _may_see(environ[CALLER], known):
        raise Problem("not-found", NO_SUCH_JOB)
    return known


def visible_jobs(site: Services, environ: WSGIEnvironment) -> list[Known]:
    return [known for known in job_store(site).list() if _may_see(environ[CALLER], known)]


def cancel(site: Services, environ: WSGIEnvironment, id_: str) -> Known:
    """Ask that a job ends, and that what was sent is removed; one that has ended stays. Raises Problem."""
    known = visible(site, environ, id_)
    cancelled = job_store(site).cancel(known.job.id)
    site.jobs.wake()
    return cancelled


def result_of(site: Services, known: Known) -> Path:
    """Raises Problem while there is none."""
    if known.status.state == "done":
        return job_store(site).result(known.job.id)
    if known.status.state in ENDED:
        raise Problem("not-found", f"the job was {known.status.state}, so it has no result")
    raise Problem("not-finished", f"the job is {known.status.state}", headers={"Retry-After": "2"})


def download(site: Services, known: Known, kind: str) -> Response:
    """Raises Problem while there is no result."""
    path: Path = result_of(site, known)
    if kind == "csv":
        path = _as_csv(path)
    name = known.job.name
    stem = name.removesuffix(name[len(name) - len(extension_of(name)) :])
    response: Response = send_file(
        path, TYPES[kind], as_attachment=True, download_name=f"{stem}-scores.{kind}", max_age=0
    )
    return response


def _as_csv(path: Path) -> Path:
    csv = path.with_suffix(".csv")
    if not csv.is_file():
        write_safe_csv(path, csv)
    return csv


def job_to_dict(known: Known, *, root: str = "") -> JsonObject:
    """`root` is where a proxy has put the server, without a slash at the end."""
    job, status = known.job, known.status
    address = f"{root}/api/v1/jobs/{job.id}"
    document: JsonObject = {
        "id": job.id,
        "state": status.state,
        "file": job.name,
        "model": {"name": job.model, "version": job.version},
        "rows": status.rows,
        "expected_rows": status.expected_rows,
        "fraction": status.fraction,
        "created": job.created,
        "started": status.started or None,
        "ended": status.ended or None,
        "seconds": status.seconds,
        "warnings": [fault.message for fault in status.warnings],
        "links": {"self": address, "cancel": f"{address}/cancel"},
    }
    if status.state == "done":
        document["links"]["result"] = f"{address}/result"
    if status.error:
        document["error"] = status.error
    if status.faults:
        document |= {
            "errors": [fault_to_dict(fault) for fault in status.faults[:MAX_FAULTS]],
            "errors_total": status.faults_total,
        }
    return document


def shown_name(name: str) -> str:
    """What a browser says the file is called, without folders of any system, and nothing that cannot be printed."""
    return "".join(letter for letter in PureWindowsPath(name).name if letter.isprintable())[-MAX_NAME:]


def _add(
    site: Services,
    environ: WSGIEnvironment,
    store: JobStore,
    place: Path,
    source: Path,
    name: str,
    wanted: Wanted,
) -> Known:
    caller: Caller = environ[CALLER]
    if not wanted.model and not wanted.version:
        site.champion.current()  # says why, where there is none
    try:
        found = site.project.version(wanted.version or "champion", wanted.model or None)
    except NotFoundError as problem:
        raise Problem("not-found", problem.what) from None
    try:
        known = store.add(
            place,
            source,
            name=name,
            created_by=caller.name,
            model=found.name,
            version=found.number,
            keep_inputs=wanted.keep_inputs,
            log=site.settings.log_predictions,
        )
    except UsageError:
        raise Problem("too-many-requests", FULL, headers={"Retry-After": "60"}) from None
    site.jobs.wake()
    return known


def _allowed(site: Services, path: str) -> Path:
    """The file of a path below an allowed folder, links followed. Outside and not there are told apart by nobody."""
    folders = [(site.project.root / folder).resolve() for folder in site.settings.job_folders]
    if not folders:
        raise Problem("not-permitted", "no folder of this server is open to jobs (ROWSMITH_JOB_FOLDERS)")
    for folder in folders:
        try:
            found = (folder / path).resolve(strict=True)
            if found.is_relative_to(folder) and found.is_file():
                return found
        except (OSError, ValueError, RuntimeError):
            continue
    raise Problem("not-found", "there is no such file below the folders that are open to jobs")


def _may_see(caller: Caller, known: Known) -> bool:
    return known.job.created_by == caller.name or caller.role >= KeyRole.OPERATE

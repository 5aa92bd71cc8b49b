"""A file in, its scores out: a form that makes a job, and the page of a job."""

from __future__ import annotations

import re

import polars as pl
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from rowsmith.ingestion.sources.formats import known_extensions
from rowsmith.serving.errors import Problem
from rowsmith.serving.job_requests import KINDS, Wanted, cancel, download, from_upload, job_store, visible, visible_jobs
from rowsmith.serving.services import MEGABYTE, services
from rowsmith.workflows.jobs import ENDED, Known, extension_of

blueprint = Blueprint("batch", __name__)

ID_COLUMN = "id"
ANSWER = re.compile(r"id|prediction|low|high|probability_.*", re.DOTALL)
PREVIEW_ROWS = 15
LISTED = 20
LOOK_SECONDS = 1


@blueprint.get("/batch")
def upload() -> str:
    if services().champion.peek() is None:
        return render_template("empty.html", title="Batch")
    return _page()


@blueprint.post("/batch")
def score() -> BaseResponse | tuple[str, int]:
    """Make a job of an uploaded file, and go to its page."""
    site = services()
    request.max_content_length = site.settings.max_upload_mb * MEGABYTE
    if (request.content_length or 0) > request.max_content_length:
        # Said before a byte is read; a body without a length is cut off where the limit is.
        raise Problem("too-large", f"the file is larger than {site.settings.max_upload_mb} MB")
    file = request.files.get("file")
    if file is None or not file.filename:
        return _page(fault="Choose a file first."), 422
    if not extension_of(file.filename):
        said = f"This kind of file is not read. Choose one that ends in {', '.join(known_extensions())}."
        return _page(fault=said), 422
    known = from_upload(site, request.environ, file, Wanted("keep" in request.form))
    return redirect(url_for("batch.job", id_=known.job.id), code=303)


@blueprint.get("/batch/<id_>")
def job(id_: str) -> str:
    known = visible(services(), request.environ, id_)
    if known.status.state != "done":
        return render_template("job.html", known=known, **_shown(known))
    table = pl.scan_parquet(job_store(services()).result(id_)).head(PREVIEW_ROWS).collect()
    # The answers first, and ids after them: a file may have hundreds of columns, and a phone shows two.
    names = sorted(table.columns, key=lambda name: (not ANSWER.fullmatch(name), name == ID_COLUMN))
    table = table.select(names)
    return render_template(
        "batch_result.html",
        known=known,
        columns=[(name, dtype.is_numeric()) for name, dtype in table.schema.items()],
        rows=table.rows(),
        hours=services().settings.job_hours,
    )


@blueprint.get("/batch/<id_>/progress")
def progress(id_: str) -> Response:
    """The part of the page that changes; once the job has ended the whole page is loaded again."""
    known = visible(services(), request.environ, id_)
    response = make_response(render_template("_job.html", known=known, **_shown(known)))
    if known.status.state in ENDED:
        response.headers["HX-Refresh"] = "true"
    return response


@blueprint.post("/batch/<id_>/cancel")
def end(id_: str) -> BaseResponse:
    cancel(services(), request.environ, id_)
    return redirect(url_for("batch.job", id_=id_), code=303)


@blueprint.get("/batch/<id_>/scores.<kind>")
def scores(id_: str, kind: str) -> Response:
    if kind not in KINDS:
        raise Problem("not-found", "scores come as CSV or Parquet")
    site = services()
    return download(site, visible(site, request.environ, id_), kind)


def _shown(known: Known) -> dict[str, object]:
    return {"is_over": known.status.state in ENDED, "look_seconds": LOOK_SECONDS}


def _page(*, fault: str = "") -> str:
    site = services()
    served = site.champion.current()
    return render_template(
        "batch.html",
        fault=fault,
        extensions=known_extensions(),
        max_upload_mb=site.settings.max_upload_mb,
        columns=[column.name for column in served.inputs.features],
        target=served.inputs.target,
        jobs=visible_jobs(site, request.environ)[:LISTED],
        hours=site.settings.job_hours,
    )

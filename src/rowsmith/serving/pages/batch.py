"""A file in, its scores out: by the very workflow that `rowsmith predict` runs."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import polars as pl
from flask import Blueprint, Response, redirect, render_template, request, send_file, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as BaseResponse

from rowsmith.errors import Fault, SchemaError, SourceError
from rowsmith.ingestion.sources.formats import known_extensions
from rowsmith.ingestion.sources.local_file import PACKED_EXTENSIONS
from rowsmith.serving.champion import Served
from rowsmith.serving.errors import Problem
from rowsmith.serving.pages.spreadsheet import write_safe_csv
from rowsmith.serving.services import MEGABYTE, services
from rowsmith.storage.files import inside, write_atomically
from rowsmith.types import JsonObject
from rowsmith.workflows.predict import predict_source

blueprint = Blueprint("batch", __name__)

ID_COLUMN = "id"
ANSWER = re.compile(r"id|prediction|low|high|probability_.*", re.DOTALL)
TOKEN = re.compile(r"[0-9a-f]{32}")
KEPT_SECONDS = 24 * 3600
PREVIEW_ROWS = 15
MAX_NAME = 120
SCORES_FILE = "scores.parquet"
CSV_FILE = "scores.csv"
META_FILE = "meta.json"


@blueprint.get("/batch")
def upload() -> str:
    served = services().champion.peek()
    if served is None:
        return render_template("empty.html", title="Batch")
    return _page(served)


@blueprint.post("/batch")
def score() -> BaseResponse | tuple[str, int]:
    """Score an uploaded file, and go to the page of the result."""
    site = services()
    request.max_content_length = site.settings.max_upload_mb * MEGABYTE
    if (request.content_length or 0) > request.max_content_length:
        # Said before a byte is read; a body without a length is cut off where the limit is.
        raise Problem("too-large", f"the file is larger than {site.settings.max_upload_mb} MB")
    served = site.champion.current()
    file = request.files.get("file")
    if file is None or not file.filename:
        return _page(served, fault="Choose a file first."), 422
    extension = extension_of(file.filename)
    if not extension:
        return _page(
            served, fault=f"This kind of file is not read. Choose one that ends in {', '.join(known_extensions())}."
        ), 422
    _forget_old()
    token = secrets.token_hex(16)
    folder = _folder(token)
    folder.mkdir(parents=True)
    try:
        _score(served, file, folder, extension, keep_inputs="keep" in request.form)
    except SchemaError as problem:
        shutil.rmtree(folder)
        return _page(served, faults=problem.faults), 422
    except SourceError as problem:
        shutil.rmtree(folder)
        sentences = [text[:1].upper() + text[1:] for text in (problem.what, problem.next_step) if text]
        return _page(served, fault=f"{'. '.join(sentences)}."), 422
    except BaseException:
        shutil.rmtree(folder)
        raise
    return redirect(url_for("batch.result", token=token), code=303)


@blueprint.get("/batch/<token>")
def result(token: str) -> str:
    folder = _existing(token)
    table = pl.scan_parquet(folder / SCORES_FILE).head(PREVIEW_ROWS).collect()
    # The answers first, and ids after them: a file may have hundreds of columns, and a phone shows two.
    names = sorted(table.columns, key=lambda name: (not ANSWER.fullmatch(name), name == ID_COLUMN))
    table = table.select(names)
    return render_template(
        "batch_result.html",
        meta=json.loads((folder / META_FILE).read_text(encoding="utf-8")),
        token=token,
        columns=[(name, dtype.is_numeric()) for name, dtype in table.schema.items()],
        rows=table.rows(),
        hours=KEPT_SECONDS // 3600,
    )


@blueprint.get("/batch/<token>/scores.<kind>")
def download(token: str, kind: str) -> Response:
    folder = _existing(token)
    if kind not in {"csv", "parquet"}:
        raise Problem("not-found", "scores come as CSV or Parquet")
    path = folder / (CSV_FILE if kind == "csv" else SCORES_FILE)
    if kind == "csv" and not path.is_file():
        write_safe_csv(folder / SCORES_FILE, path)
    name = json.loads((folder / META_FILE).read_text(encoding="utf-8"))["name"]
    return send_file(
        path, as_attachment=True, download_name=f"{name.removesuffix(extension_of(name))}-scores.{kind}", max_age=0
    )


def extension_of(name: str) -> str:
    """`.csv`, `.csv.gz`, ... of a name that a file of ours may have; empty for one that is not read."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    if suffixes and suffixes[-1] in known_extensions():
        return suffixes[-1]
    if len(suffixes) == 2 and suffixes[0] in known_extensions() and suffixes[1] in PACKED_EXTENSIONS:
        return "".join(suffixes)
    return ""


def shown_name(name: str) -> str:
    """What a browser says the file is called, without folders of any system, and nothing that cannot be printed."""
    return "".join(letter for letter in PureWindowsPath(name).name if letter.isprintable())[-MAX_NAME:]


def _score(served: Served, file: FileStorage, folder: Path, extension: str, *, keep_inputs: bool) -> None:
    site = services()
    source = folder / f"upload{extension}"
    file.save(source)
    scored = predict_source(
        served.deployed,
        source,
        folder / SCORES_FILE,
        options=site.project.recipe.data.model_copy(update={"source": None}),
        keep_inputs=keep_inputs,
        log=site.log,
    )
    source.unlink()
    meta: JsonObject = {
        "name": shown_name(file.filename or ""),
        "rows": scored.rows,
        "seconds": round(scored.seconds, 3),
        "warnings": [fault.message for fault in scored.warnings],
        "model": served.to_dict(),
    }
    write_atomically(folder / META_FILE, json.dumps(meta))


def _page(served: Served, *, fault: str = "", faults: Sequence[Fault] = ()) -> str:
    return render_template(
        "batch.html",
        fault=fault,
        faults=faults,
        extensions=known_extensions(),
        max_upload_mb=services().settings.max_upload_mb,
        columns=[column.name for column in served.inputs.features],
        target=served.inputs.target,
    )


def _root() -> Path:
    return services().project.store / "scored"


def _folder(token: str) -> Path:
    return inside(_root(), token)


def _existing(token: str) -> Path:
    """The folder of a finished result. Only who knows its name gets in. Raises Problem."""
    if not TOKEN.fullmatch(token) or not (_folder(token) / META_FILE).is_file():
        raise Problem("not-found", "there is no such result; results are kept for a day")
    return _folder(token)


def _forget_old() -> None:
    """Results are copies of what somebody uploaded; a day is enough to fetch them."""
    oldest = time.time() - KEPT_SECONDS
    for folder in _root().glob("*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)

"""A version: its scores, gates, lineage and leaderboard; its report; and its card."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, url_for
from werkzeug.wrappers import Response as BaseResponse

from rowsmith.errors import NotFoundError
from rowsmith.registry.versions import Version
from rowsmith.serving.errors import Problem
from rowsmith.serving.pages.scores import interval_text, score_line
from rowsmith.serving.services import services
from rowsmith.serving.version_files import CARD_FILE, REPORT_FILE, document_of, evaluation_of

blueprint = Blueprint("versions", __name__)

MAX_TRIALS = 30
MAX_COLUMNS = 12
# The report is one file with its styles inside, and needs no scripts: here it can run none, send no form and fetch
# nothing. It keeps the origin, so that the page around it can measure how tall it is.
REPORT_POLICY = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)


@blueprint.get("/report")
def champion_report() -> BaseResponse | str:
    served = services().champion.peek()
    if served is None:
        return render_template("empty.html", title="Report")
    return redirect(url_for("versions.report", name=served.version.name, number=served.version.number))


@blueprint.get("/models/<name>/<int:number>")
def version(name: str, number: int) -> str:
    found, folder = _find(name, number)
    champion = services().project.registry.champion(name)
    evaluation, document = evaluation_of(folder), document_of(folder)
    scores = evaluation.get("scores", {}).get("model", {})
    importance = [item for item in evaluation.get("importance", ()) if item["drop"] is not None][:MAX_COLUMNS]
    leaderboard = document.get("leaderboard", [])[:MAX_TRIALS]
    return render_template(
        "version.html",
        version=found,
        is_champion=champion is not None and champion.number == number,
        line=score_line(evaluation),
        metrics=[
            (item["title"], scores[item["name"]]["value"], interval_text(scores[item["name"]]))
            for item in evaluation.get("metrics", ())
        ],
        importance=importance,
        largest_drop=max((item["drop"] for item in importance), default=0.0),
        gates=document.get("gates"),
        findings=document.get("findings", ()),
        leaderboard=leaderboard,
        leaderboard_keys=[key for key, value in leaderboard[0].items() if not isinstance(value, dict | list)]
        if leaderboard
        else [],
        notes=evaluation.get("notes", ()),
        card=_text(folder / CARD_FILE),
    )


@blueprint.get("/models/<name>/<int:number>/report")
def report(name: str, number: int) -> str:
    found, folder = _find(name, number)
    return render_template("report.html", version=found, exists=(folder / REPORT_FILE).is_file())


@blueprint.get("/models/<name>/<int:number>/report.html")
def report_file(name: str, number: int) -> Response:
    """The report itself, as it lies in the version's folder."""
    _, folder = _find(name, number)
    text = _text(folder / REPORT_FILE)
    if text is None:
        raise Problem("not-found", "this version has no report")
    return Response(text, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY})


def _find(name: str, number: int) -> tuple[Version, Path]:
    """Raises NotFoundError, and StorageError where the files are gone."""
    project = services().project
    if project.is_empty:
        raise NotFoundError("there is no model here yet")
    found = project.registry.get(name, number)
    return found, project.registry.folder(found)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None

"""The overview: who is champion, how good it is, and how it came to be."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template, request

from rowsmith.errors import RowsmithError
from rowsmith.registry.versions import Version
from rowsmith.serving.examples import example_row
from rowsmith.serving.pages.layout import figure, plural, when
from rowsmith.serving.pages.scores import interval_text, score_line
from rowsmith.serving.pages.snippets import curl
from rowsmith.serving.services import services
from rowsmith.serving.version_files import evaluation_of
from rowsmith.types import JsonObject

blueprint = Blueprint("home", __name__)

MAX_VERSIONS = 50
MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A line of the table of versions."""

    version: Version
    is_champion: bool
    metric: str
    interval: str


@blueprint.get("/")
def home() -> str:
    site = services()
    project = site.project
    names = () if project.is_empty else project.registry.names()
    if not names:
        return render_template("empty.html", title="Overview")
    served = site.champion.peek()
    name = site.champion.name if site.champion.name in names else names[0]
    champion = project.registry.champion(name)
    versions = project.registry.list(name)
    return render_template(
        "home.html",
        name=name,
        others=[other for other in names if other != name],
        champion=champion,
        inputs=served.inputs if served else None,
        fault=site.champion.fault,
        facts=_facts(champion) if champion else (),
        line=score_line(_evaluation(champion)) if champion else None,
        versions=[_row(version, champion) for version in reversed(versions[-MAX_VERSIONS:])],
        more_versions=max(len(versions) - MAX_VERSIONS, 0),
        ledger=tuple(reversed(project.registry.ledger(name)))[:MAX_LINES],
        curl=curl(request.url_root, {"row": example_row(served.inputs)}) if served else "",
    )


def _facts(champion: Version) -> list[tuple[str, str]]:
    """What there is to say about the champion in a few words; what is not known is left out."""
    lineage = champion.lineage
    known = {
        "Made": when(champion.created),
        "Trained on": plural(lineage["rows_trained"], "row") if "rows_trained" in lineage else "",
        "Tested on": plural(lineage["rows_tested"], "row") if "rows_tested" in lineage else "",
        "Trained in": f"{figure(lineage['train_seconds'], 3)} s" if "train_seconds" in lineage else "",
        "Snapshot": champion.snapshot_id[:12],
        "Recipe": champion.recipe_hash[:12],
    }
    return [(term, text) for term, text in known.items() if text]


def _row(version: Version, champion: Version | None) -> VersionRow:
    evaluation = _evaluation(version)
    titles = {item["name"]: item["title"] for item in evaluation.get("metrics", ())}
    item = evaluation.get("scores", {}).get("model", {}).get(version.metric, {})
    is_champion = champion is not None and version.number == champion.number
    return VersionRow(version, is_champion, titles.get(version.metric, version.metric), interval_text(item))


def _evaluation(version: Version) -> JsonObject:
    """Empty where the files of an old version are gone: the overview is shown all the same."""
    try:
        return evaluation_of(services().project.registry.folder(version))
    except RowsmithError:
        return {}

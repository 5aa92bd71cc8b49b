"""Data: the snapshots, what needs them, and what their columns hold."""

from __future__ import annotations

from flask import Blueprint, render_template

from rowsmith.serving.services import services

blueprint = Blueprint("data", __name__)

MAX_SNAPSHOTS = 200


@blueprint.get("/data")
def snapshots() -> str:
    from rowsmith.workflows.data import list_data  # here: it would slow the start of the server

    found = list_data(services().project)
    if not found:
        return render_template("empty.html", title="Data")
    return render_template("data.html", snapshots=found[:MAX_SNAPSHOTS], more=max(len(found) - MAX_SNAPSHOTS, 0))


@blueprint.get("/data/<ref>")
def snapshot(ref: str) -> str:
    """Raises NotFoundError. A profile that takes long is made by the command line, not here."""
    from rowsmith.workflows.data import show_data

    return render_template("snapshot.html", snapshot=show_data(services().project, ref, at_once=True))

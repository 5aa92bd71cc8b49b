"""How machines ask: the API page made from the model's schema, and the page that explains problem documents."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from rowsmith.serving.api.openapi_rows import property_of
from rowsmith.serving.errors import KINDS, Problem
from rowsmith.serving.examples import example_row
from rowsmith.serving.pages.snippets import curl, python
from rowsmith.serving.services import services
from rowsmith.types import JsonObject

blueprint = Blueprint("reference", __name__)


@blueprint.get("/api")
def api() -> str:
    served = services().champion.peek()
    if served is None:
        return render_template("empty.html", title="API")
    schema = served.inputs
    row = example_row(schema)
    columns = [
        (column.name, column.kind.value, column.is_optional, property_of(column, schema)["description"])
        for column in schema.features
    ]
    label: JsonObject = {"id": "ID OF A PREDICTION", "label": served.model.labels[-1] if served.model.labels else 0}
    return render_template(
        "api.html",
        columns=columns,
        curl=curl(request.url_root, {"row": row}),
        python=python(request.url_root, {"row": row}),
        label_curl=curl(request.url_root, {"labels": [label]}, "api/v1/labels"),
        version=served.version,
    )


@blueprint.get("/problems")
def problems() -> str:
    return render_template("problems.html", kinds=KINDS)


@blueprint.get("/problems/<slug>")
def problem(slug: str) -> str:
    """The address that the `type` of a problem document names."""
    if all(kind.slug != slug for kind in KINDS):
        raise Problem("not-found", "there is no such kind of problem")
    return render_template("problems.html", kinds=[kind for kind in KINDS if kind.slug == slug])

"""The form, its answer, and the what-if that follows every change of a field."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request

from rowsmith.errors import SchemaError
from rowsmith.serving.answers import RowAnswers
from rowsmith.serving.champion import Route, Served
from rowsmith.serving.pages.answer import AnswerView, view_of
from rowsmith.serving.pages.forms import FIRST_FIELDS, fields_of, row_of, typical_values
from rowsmith.serving.pages.snippets import curl
from rowsmith.serving.predictor import answer_rows, conform, predict
from rowsmith.serving.services import services
from rowsmith.serving.version_files import ranked_columns

blueprint = Blueprint("predict", __name__)

ASKED = "asked"


@blueprint.get("/predict")
def form() -> str:
    served = services().champion.peek()
    if served is None:
        return render_template("empty.html", title="Predict")
    return _page(served, typical_values(served.inputs), {}, None)


@blueprint.post("/predict")
def submit() -> Response:
    """A prediction like any other: answered by the function that the API calls, and kept."""
    began = time.perf_counter()
    site = services()
    served = site.champion.current()
    row = row_of(served.inputs, request.form)
    try:
        answers, pending = answer_rows(site, Route(served), [row], began=began, source="page")
    except SchemaError as problem:
        return make_response(_page(served, request.form, _by_column(problem), None), 422)
    pending.settle()
    assert isinstance(answers, RowAnswers)  # one row is no table
    answer = view_of(served, answers.predictions[0], row, id=answers.ids[0])
    return make_response(_page(served, request.form, {}, answer, row))


@blueprint.post("/predict/what-if")
def what_if() -> Response:
    """The answer alone, for the values as they stand. It asks about the model, not about a row, and is not kept."""
    served = services().champion.current()
    row = row_of(served.inputs, request.form)
    try:
        conforming = conform(served.deployed, [row])
    except SchemaError as problem:
        return make_response(render_template("_faults.html", faults=problem.faults), 422)
    (prediction,) = predict(served.model, conforming)
    asked = request.form.get(ASKED, type=float)
    answer = view_of(served, prediction, row, asked=asked)
    return make_response(render_template("_answer.html", answer=answer, asked=asked))


def _by_column(problem: SchemaError) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for fault in problem.faults:
        found[fault.column].append(fault.message)
    return found


def _page(
    served: Served,
    values: Mapping[str, str],
    faults: Mapping[str, list[str]],
    answer: AnswerView | None,
    row: dict[str, Any] | None = None,
) -> str:
    ranked = ranked_columns(served.folder)
    fields = fields_of(served.inputs, values, faults, ranked)
    return render_template(
        "predict.html",
        fields=fields,
        ranked=bool(ranked),
        faults=[message for messages in faults.values() for message in messages],
        answer=answer,
        asked=answer.figure if answer else None,
        first=FIRST_FIELDS,
        target=served.inputs.target,
        classes=bool(served.model.labels),
        version=served.version,
        curl=curl(request.url_root, {"row": row}) if row else "",
    )

"""A model as one ONNX model, and its comparison with the model it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rowsmith.conform.series import DTYPES
from rowsmith.conversion.onnx.columns import REFUSED, encoded
from rowsmith.conversion.onnx.graph import ML, Graph
from rowsmith.conversion.onnx.learners import answers, blended, calibrated
from rowsmith.errors import UsageError
from rowsmith.model import TrainedModel
from rowsmith.types import Array, ColumnKind, JsonObject, Task

TOLERANCE = 1e-6
"""How far probabilities may be apart, and numbers in relation to what is usual."""
ROWS_AT_ONCE = 4096
PREDICTION, PROBABILITIES, LOW, HIGH = "prediction", "probabilities", "low", "high"


def converted(model: TrainedModel, *, name: str, facts: dict[str, str]) -> Any:
    """The ONNX model. Raises UsageError, with the part that ONNX cannot hold."""
    state, graph = model.to_state(), Graph()
    matrix = encoded(graph, state.children["encoder"], model.schema)
    members = [state.children[f"member-{i}"] for i in range(len(model.members))]
    if not members:
        raise UsageError("this model has no learner", next_step=REFUSED)
    parts = [answers(graph, matrix, member) for member in members]
    scores = blended(graph, parts, [member.weight for member in model.members], is_pool=model.is_pool)
    if "calibrator" in state.children:
        scores = calibrated(graph, scores, state.children["calibrator"])
    _add_answers(graph, model, scores)
    return graph.model(name="rowsmith", description=f"{name}: {_description(model)}", facts=facts)


def _add_answers(graph: Graph, model: TrainedModel, scores: str) -> None:
    if model.task is Task.REGRESSION:
        value = graph.reshaped(scores, -1)
        graph.output(value, PREDICTION, "float64")
        if width := model.interval_width:
            graph.output(graph.add(value, graph.constant(width.low)), LOW, "float64")
            graph.output(graph.add(value, graph.constant(width.high)), HIGH, "float64")
        return
    if model.task is Task.BINARY:
        event = graph.reshaped(graph.columns(scores, [1]), -1)
        chosen = graph.whole(graph.op("GreaterOrEqual", event, graph.constant(model.threshold)))
    else:
        chosen = graph.op("ArgMax", scores, axis=1, keepdims=0)
    labels = [label.encode() for label in model.labels]
    label = graph.op("LabelEncoder", chosen, domain=ML, keys_int64s=list(range(len(labels))), values_strings=labels)
    graph.output(label, PREDICTION, "string")
    graph.output(scores, PROBABILITIES, "float64", len(labels))


def _description(model: TrainedModel) -> str:
    answer = "a number" if model.task is Task.REGRESSION else f"one of {', '.join(model.labels[:20])}"
    return (
        f"answers {answer}. Inputs by column name, shape (rows, 1): numbers, booleans (0 or 1) and dates (seconds "
        "since 1970, UTC) as float64 with NaN for missing; categories as text in the spelling of the schema, without "
        'blanks around it, with "" for missing. Nothing is refused: a text that training did not see counts as unseen.'
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near the answers of the two came: `rows` compared, the largest `difference`, and labels that differ."""

    rows: int
    difference: float
    other_labels: int

    @property
    def holds(self) -> bool:
        return self.difference <= TOLERANCE and self.other_labels == 0

    def to_dict(self) -> JsonObject:
        return {"rows": self.rows, "difference": self.difference, "tolerance": TOLERANCE}


def compare(model: TrainedModel, content: bytes, conforming: pl.DataFrame) -> Agreement:
    """Both asked about the same conforming rows. A label may differ only where the score that decides is a tie.

    Probabilities are compared as they are, numbers in relation to their own size, or 1 where they are smaller.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    difference, other = 0.0, 0
    for start in range(0, conforming.height, ROWS_AT_ONCE):
        part = conforming.slice(start, ROWS_AT_ONCE)
        given = dict(zip((o.name for o in session.get_outputs()), session.run(None, feed(part, session)), strict=True))
        ours = model.scores(model.encoder.encode(part))
        if model.task is Task.REGRESSION:
            distance = np.abs(given[PREDICTION] - ours[:, 0]) / np.maximum(np.abs(ours[:, 0]), 1.0)
        else:
            distance = np.abs(given[PROBABILITIES] - ours)
            labels = np.array(model.labels, dtype=object)[model.choose(ours)]
            other += int(((given[PREDICTION] != labels) & ~_is_tie(model, ours)).sum())
        if not np.isfinite(distance).all():
            distance = np.full(1, np.inf)
        difference = max(difference, float(distance.max(initial=0.0)))
    return Agreement(conforming.height, difference, other)


def _is_tie(model: TrainedModel, scores: Array) -> Array:
    """Whether the decision hangs on less than the tolerance, shape (rows,)."""
    if model.task is Task.BINARY:
        return np.asarray(np.abs(scores[:, 1] - model.threshold) <= TOLERANCE)
    best = np.sort(scores, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] <= TOLERANCE)


def feed(conforming: pl.DataFrame, session: Any) -> dict[str, Array]:
    """Conforming rows as the inputs of a session: each column by its name, shape (rows, 1)."""
    return {each.name: _values(conforming[each.name])[:, None] for each in session.get_inputs()}


def _values(series: pl.Series) -> Array:
    if series.dtype == DTYPES[ColumnKind.CATEGORY]:
        return np.array(series.fill_null("").to_list(), dtype=object)
    if series.dtype == DTYPES[ColumnKind.DATETIME]:
        microseconds = series.dt.epoch("us")
        seconds = microseconds.fill_null(0).to_numpy() // 1_000_000
        return np.where(microseconds.is_null().to_numpy(), np.nan, seconds.astype(np.float64))
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)

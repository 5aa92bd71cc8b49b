"""Looking: the observed rows, cut into windows, as sketches in the bins of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rowsmith.conform.rule import Rule
from rowsmith.monitoring.drift import Part, Seen
from rowsmith.monitoring.observations import Observations, is_known
from rowsmith.monitoring.reference import Look, Reference, Watched, known_levels, looks_at_answers, looks_at_target
from rowsmith.monitoring.sketch import window_sketches
from rowsmith.monitoring.views import view
from rowsmith.monitoring.windows import Windows
from rowsmith.schema import Schema
from rowsmith.types import Array, Rows


def look(
    reference: Reference, observations: Observations, truth: Array | None, schema: Schema, windows: Windows
) -> list[list[Seen]]:
    """What each window shows of features, answers and labels, in the order of the reference; one pass over a column."""
    seen: list[list[Seen]] = [[] for _ in range(len(windows))]
    for name in dict.fromkeys(watched.column for watched in reference.features):
        watched = [item for item in reference.features if item.column == name]
        _look_at_feature(watched, observations, schema, windows, seen)
    answers = looks_at_answers(observations.answers, schema)
    _look_at_outcome("prediction", reference.answers, answers, windows.index, seen)
    if truth is not None and is_known(truth).any():
        index = np.where(is_known(truth), windows.index, -1)
        _look_at_outcome("label", reference.target, looks_at_target(truth, schema), index, seen)
    return seen


def _look_at_feature(
    watched: Sequence[Watched], observations: Observations, schema: Schema, windows: Windows, seen: list[list[Seen]]
) -> None:
    column = schema[watched[0].column]
    rule, rows = Rule(column), observations.rows
    values, wrong = (
        rule.series(rows[column.name]) if column.name in rows.columns else (rule.no_values(len(observations)), None)
    )
    invalid = [0] * len(windows)
    if wrong is not None:
        there = windows.index[wrong.to_numpy() & (windows.index >= 0)]
        invalid = np.bincount(there, minlength=len(windows)).tolist()
    known = known_levels(column)
    for item in watched:
        looked = view(values, column.kind, item.aspect, item.words)
        index = windows.index
        if item.aspect == "known_words":  # what is missing is already seen in the length
            index = np.where(looked.is_null().to_numpy(), -1, index)
        sketches = window_sketches(item.sketch, looked, index, len(windows), known)
        for number, sketch in enumerate(sketches):
            seen[number].append(Seen(item, "feature", sketch, invalid[number]))


def _look_at_outcome(
    part: Part, watched: Sequence[Watched], looks: Sequence[Look], index: Rows, seen: list[list[Seen]]
) -> None:
    by_aspect = {aspect: (values, known) for _, _, aspect, values, known in looks}
    for item in watched:
        values, known = by_aspect[item.aspect]
        for number, sketch in enumerate(window_sketches(item.sketch, values, index, len(seen), known)):
            if sketch.rows:
                seen[number].append(Seen(item, part, sketch))

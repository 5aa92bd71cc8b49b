"""Why each row got its answer, for callers that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from rowsmith.conform import ConformingRow
from rowsmith.evaluation.explain import Explanation
from rowsmith.serving.champion import Served
from rowsmith.serving.errors import Problem
from rowsmith.types import JsonObject

MOST_ROWS = 100
OTHERS = "other columns"


def require_explainable(served: Served, rows: int) -> None:
    """Raises Problem for too many rows, and for a version that cannot explain."""
    if rows > MOST_ROWS:
        raise Problem("invalid-request", f"{rows} rows to explain at once; at most {MOST_ROWS} are")
    if served.explainer is None:
        raise Problem("invalid-request", "this version was made without what explanations start from")


def explain(served: Served, rows: Sequence[ConformingRow]) -> list[JsonObject]:
    """One explanation a row, of a version that can explain."""
    explainer = served.explainer
    assert explainer is not None
    return [explanation_to_dict(explainer.explain(item.row)) for item in rows]


def explanation_to_dict(explanation: Explanation) -> JsonObject:
    """`answer` = `base` + the sum of the contributions."""
    contributions = {item.column or OTHERS: item.amount for item in explanation.contributions}
    document: JsonObject = {"answer": explanation.answer, "base": explanation.base, "contributions": contributions}
    return document if explanation.label is None else {"label": explanation.label, **document}

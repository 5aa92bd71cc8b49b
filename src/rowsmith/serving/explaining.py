"""Why each row got its answer, for callers that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from rowsmith.conform import ConformingRow
from rowsmith.evaluation.explain import Explanation, explain_row
from rowsmith.serving.champion import Served
from rowsmith.serving.errors import Problem
from rowsmith.serving.version_files import evaluation_of
from rowsmith.types import JsonObject

MOST_ROWS = 100
OTHERS = "other columns"


def require_explainable(served: Served, rows: int) -> None:
    """Raises Problem for too many rows, and for a version that cannot explain."""
    if rows > MOST_ROWS:
        raise Problem("invalid-request", f"{rows} rows to explain at once; at most {MOST_ROWS} are")
    if not _stored(served):
        raise Problem("invalid-request", "this version was made without what explanations start from")


def explain(served: Served, rows: Sequence[ConformingRow]) -> list[JsonObject]:
    """One explanation a row."""
    return [explanation_to_dict(explain_row(served.model, item.row, _stored(served))) for item in rows]


def _stored(served: Served) -> JsonObject:
    return evaluation_of(served.folder).get("explain_background") or {}


def explanation_to_dict(explanation: Explanation) -> JsonObject:
    """`answer` = `base` + the sum of the contributions."""
    contributions = {item.column or OTHERS: item.amount for item in explanation.contributions}
    document: JsonObject = {"answer": explanation.answer, "base": explanation.base, "contributions": contributions}
    return document if explanation.label is None else {"label": explanation.label, **document}

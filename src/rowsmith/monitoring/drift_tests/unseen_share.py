"""Growth of the share of values whose level training did not list."""

from __future__ import annotations

from rowsmith.monitoring.drift_tests.proportion import chance_of_difference
from rowsmith.monitoring.drift_tests.record import DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch
from rowsmith.types import ColumnKind


def unseen_share(reference: Sketch, window: Sketch) -> Outcome | None:
    """Growth over the reference, where a column with very many levels has unlisted ones already; fewer is no drift."""
    if reference.is_ordered:
        return None
    growth = window.unseen_share - reference.unseen_share
    if growth <= 0:
        return Outcome(0.0, 1.0)
    return Outcome(growth, chance_of_difference(window.unseen, window.present, reference.unseen, reference.present))


UNSEEN_SHARE = DriftTest(
    name="unseen_share",
    title="Growth of the share of unseen levels",
    short="share of unseen levels grew by",
    kinds=frozenset({ColumnKind.CATEGORY}),
    threshold=0.05,
    decides=True,
    function=unseen_share,
    source="two-proportion z-test: A. Agresti, Categorical Data Analysis, 3rd edition, 2013, section 3.2",
)

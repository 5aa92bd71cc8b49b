"""Change of the share of missing values: a source that broke, or one that was mended."""

from __future__ import annotations

from rowsmith.monitoring.drift_tests.proportion import chance_of_difference
from rowsmith.monitoring.drift_tests.record import EVERY_KIND, DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch


def missing_share(reference: Sketch, window: Sketch) -> Outcome:
    change = abs(window.missing_share - reference.missing_share)
    return Outcome(change, chance_of_difference(window.missing, window.rows, reference.missing, reference.rows))


MISSING_SHARE = DriftTest(
    name="missing_share",
    title="Change of the share of missing values",
    short="share of missing values changed by",
    kinds=EVERY_KIND,
    threshold=0.1,
    decides=True,
    function=missing_share,
    source="two-proportion z-test: A. Agresti, Categorical Data Analysis, 3rd edition, 2013, section 3.2",
    needs_values=False,
)

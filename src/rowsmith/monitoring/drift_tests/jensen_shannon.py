"""Jensen-Shannon distance of two histograms: between 0 and 1, whatever the kind of column."""

from __future__ import annotations

import numpy as np

from rowsmith.monitoring.drift_tests.bins import common_bins
from rowsmith.monitoring.drift_tests.record import EVERY_KIND, DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch
from rowsmith.types import Vector


def jensen_shannon(reference: Sketch, window: Sketch) -> Outcome | None:
    """The square root of the divergence in bits, less what chance adds to it, (k - 1)(1/n + 1/m) / (8 ln 2)."""
    bins = common_bins(reference, window)
    if len(bins.window) < 2:
        return None
    expected, seen = bins.reference / bins.reference.sum(), bins.window / bins.window.sum()
    middle = (expected + seen) / 2
    divergence = (_relative_entropy(expected, middle) + _relative_entropy(seen, middle)) / 2
    return Outcome(float(np.sqrt(max(0.0, divergence - bins.noise / (8 * np.log(2))))))


def _relative_entropy(shares: Vector, middle: Vector) -> float:
    there = shares > 0
    return float(np.sum(shares[there] * np.log2(shares[there] / middle[there])))


JENSEN_SHANNON = DriftTest(
    name="jensen_shannon",
    title="Jensen-Shannon distance",
    short="Jensen-Shannon distance",
    kinds=EVERY_KIND,
    threshold=0.1,
    decides=False,
    function=jensen_shannon,
    source="J. Lin, Divergence measures based on the Shannon entropy, 1991, doi:10.1109/18.61115",
)

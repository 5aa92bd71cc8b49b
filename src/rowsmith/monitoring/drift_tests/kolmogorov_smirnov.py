"""Kolmogorov-Smirnov: the largest distance between two cumulative distributions."""

from __future__ import annotations

import numpy as np
from scipy.special import kolmogorov

from rowsmith.monitoring.drift_tests.record import ORDERED_KINDS, DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch


def kolmogorov_smirnov(reference: Sketch, window: Sketch) -> Outcome | None:
    """Looked at where the sketch has edges, so never larger than over all values; the p-value errs to the safe side."""
    if not reference.is_ordered:
        return None
    expected = np.cumsum(reference.counts) / reference.present
    seen = np.cumsum(window.counts) / window.present
    distance = float(np.max(np.abs(expected - seen)))
    size = reference.present * window.present / (reference.present + window.present)
    return Outcome(distance, float(kolmogorov(np.sqrt(size) * distance)))


KOLMOGOROV_SMIRNOV = DriftTest(
    name="kolmogorov_smirnov",
    title="Kolmogorov-Smirnov distance",
    short="Kolmogorov-Smirnov distance",
    kinds=ORDERED_KINDS,
    threshold=0.1,
    decides=False,
    function=kolmogorov_smirnov,
    source="N. Smirnov, Table for estimating the goodness of fit, 1948, doi:10.1214/aoms/1177730256",
)

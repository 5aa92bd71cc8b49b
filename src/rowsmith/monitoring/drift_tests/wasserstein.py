"""Wasserstein distance: how far, in standard deviations, the values had to be moved on average."""

from __future__ import annotations

import numpy as np
from scipy.stats import wasserstein_distance

from rowsmith.monitoring.drift_tests.record import ORDERED_KINDS, DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch
from rowsmith.types import Vector


def wasserstein(reference: Sketch, window: Sketch) -> Outcome | None:
    """From the sketches: each bin stands at its upper edge on both sides, the open ends at their own means."""
    if not reference.is_ordered or not reference.deviation:
        return None
    distance = wasserstein_distance(_places(reference), _places(window), reference.counts, window.counts)
    return Outcome(float(distance) / reference.deviation)


def _places(sketch: Sketch) -> Vector:
    places = np.array([*sketch.edges, sketch.edges[-1]])
    if sketch.low_mean is not None:
        places[0] = sketch.low_mean
    if sketch.high_mean is not None:
        places[-1] = sketch.high_mean
    return places


WASSERSTEIN = DriftTest(
    name="wasserstein",
    title="Wasserstein distance in standard deviations",
    short="Wasserstein distance",
    kinds=ORDERED_KINDS,
    threshold=0.1,
    decides=False,
    function=wasserstein,
    source="A. Ramdas, N. Garcia, M. Cuturi, On Wasserstein two-sample testing, 2017, doi:10.3390/e19020047",
)

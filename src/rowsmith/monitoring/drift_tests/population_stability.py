"""Population stability index: the symmetric relative entropy of two histograms."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from rowsmith.monitoring.drift_tests.bins import common_bins
from rowsmith.monitoring.drift_tests.record import EVERY_KIND, DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch


def population_stability(reference: Sketch, window: Sketch) -> Outcome | None:
    """Without its noise floor: the index of n rows in k bins is (k - 1)(1/n + 1/m) by chance, which is taken off.

    Divided by (1/n + 1/m) the index is about chi-squared with k - 1 degrees of freedom, hence the p-value.
    """
    bins = common_bins(reference, window)
    if len(bins.window) < 2:
        return None
    expected, seen = bins.shares
    index = float(np.sum((seen - expected) * np.log(seen / expected)))
    return Outcome(max(0.0, index - bins.noise), float(chi2.sf(index / bins.scale, len(bins.window) - 1)))


POPULATION_STABILITY = DriftTest(
    name="psi",
    title="Population stability index",
    short="PSI",
    kinds=EVERY_KIND,
    threshold=0.2,
    decides=True,
    function=population_stability,
    source="B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University, 2018",
)

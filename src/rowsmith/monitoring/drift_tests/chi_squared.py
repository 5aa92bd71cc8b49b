"""Chi-squared test that two histograms of levels come from one distribution; the effect is Cramér's V."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from rowsmith.monitoring.drift_tests.bins import common_bins
from rowsmith.monitoring.drift_tests.record import LEVEL_KINDS, DriftTest, Outcome
from rowsmith.monitoring.sketch import Sketch


def chi_squared(reference: Sketch, window: Sketch) -> Outcome | None:
    """V = sqrt(statistic / rows) between 0 and 1, for the two rows (reference, window) scaled to the same size.

    Scaling makes V say how different the shares are, whatever the ratio of the row counts; what chance adds
    is taken off the statistic. The p-value is that of the unscaled table.
    """
    bins = common_bins(reference, window)
    if reference.is_ordered or len(bins.window) < 2:
        return None
    n, m = bins.window.sum(), bins.reference.sum()
    seen, expected, pooled = bins.window / n, bins.reference / m, (bins.window + bins.reference) / (n + m)
    statistic = float(np.sum((seen - expected) ** 2 / pooled)) / bins.scale
    spread = float(np.sum((seen - expected) ** 2 / (seen + expected)))
    return Outcome(
        float(np.sqrt(max(0.0, spread - bins.noise / 2) / 2)), float(chi2.sf(statistic, len(bins.window) - 1))
    )


CHI_SQUARED = DriftTest(
    name="chi_squared",
    title="Cramér's V (chi-squared test)",
    short="Cramér's V",
    kinds=LEVEL_KINDS,
    threshold=0.1,
    decides=False,
    function=chi_squared,
    source="K. Pearson, 1900, doi:10.1080/14786440009463897; effect sizes: J. Cohen, Statistical Power Analysis, 1988",
)

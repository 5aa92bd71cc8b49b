"""Drift tests: one file each, listed here. A new one is one new file and one line in this tuple."""

from __future__ import annotations

from rowsmith.monitoring.drift_tests.chi_squared import CHI_SQUARED
from rowsmith.monitoring.drift_tests.jensen_shannon import JENSEN_SHANNON
from rowsmith.monitoring.drift_tests.kolmogorov_smirnov import KOLMOGOROV_SMIRNOV
from rowsmith.monitoring.drift_tests.missing_share import MISSING_SHARE
from rowsmith.monitoring.drift_tests.population_stability import POPULATION_STABILITY
from rowsmith.monitoring.drift_tests.record import DriftTest, Outcome
from rowsmith.monitoring.drift_tests.unseen_share import UNSEEN_SHARE
from rowsmith.monitoring.drift_tests.wasserstein import WASSERSTEIN

DRIFT_TESTS: tuple[DriftTest, ...] = (
    POPULATION_STABILITY,
    MISSING_SHARE,
    UNSEEN_SHARE,
    JENSEN_SHANNON,
    WASSERSTEIN,
    KOLMOGOROV_SMIRNOV,
    CHI_SQUARED,
)

__all__ = ["DRIFT_TESTS", "DriftTest", "Outcome"]

"""What the report draws of predicted numbers: predicted against true, residuals, coverage of the intervals."""

from __future__ import annotations

import math

import numpy as np

from rowsmith.evaluation.intervals import effective_rows, wilson
from rowsmith.evaluation.metrics.averages import mean
from rowsmith.evaluation.testset import TestSet
from rowsmith.types import JsonObject

POINTS = 300
BINS = 30
PARTS = 10
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def regression_charts(test: TestSet) -> JsonObject:
    """Residuals are true minus predicted: positive where the model answered too low."""
    return {
        "predicted_against_true": _points(test),
        "residuals": _residuals(test),
        "coverage": coverage(test),
    }


def _points(test: TestSet) -> JsonObject:
    """At most 300 rows, drawn at random."""
    random = np.random.default_rng([test.seed, 6])
    rows = np.arange(test.rows) if test.rows <= POINTS else np.sort(random.choice(test.rows, POINTS, replace=False))
    return {"predicted": test.scores[rows, 0].tolist(), "true": test.truth[rows].tolist()}


def _residuals(test: TestSet) -> JsonObject:
    """Histogram (its outer bins hold everything beyond), quantiles, and mean and spread by tenths of the answer."""
    predicted = test.scores[:, 0]
    residuals = test.truth - predicted
    if len(residuals) == 0:
        return {"edges": [], "counts": [], "quantiles": {}, "by_prediction": []}
    low, high = np.quantile(residuals, [0.005, 0.995])
    edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, PARTS) if len(part)]
    return {
        "edges": edges.tolist(),
        "counts": np.histogram(np.clip(residuals, edges[0], edges[-1]), edges)[0].tolist(),
        "quantiles": {str(q): float(np.quantile(residuals, q)) for q in QUANTILES},
        "by_prediction": [
            {
                "predicted": float(predicted[part].mean()),
                "mean": float(residuals[part].mean()),
                "low": float(np.quantile(residuals[part], 0.1)),
                "high": float(np.quantile(residuals[part], 0.9)),
                "rows": len(part),
            }
            for part in parts
        ],
    }


def coverage(test: TestSet) -> JsonObject | None:
    """How many true values the prediction intervals hold, beside how many they should."""
    width = test.model.interval_width
    if width is None or test.rows == 0:
        return None
    predicted = test.scores[:, 0]
    inside = (test.truth >= predicted + width.low) & (test.truth <= predicted + width.high)
    observed = mean(inside.astype(np.float64), test.weights)
    if math.isnan(observed):
        return None
    interval = wilson(observed, effective_rows(test.weights, test.rows))
    return {
        "promised": test.model.recipe.train.interval,
        "observed": observed,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "width": width.high - width.low,
    }

"""How likely two shares differ this much by chance."""

from __future__ import annotations

import math


def chance_of_difference(count: int, rows: int, reference_count: int, reference_rows: int) -> float:
    """Two-sided p-value of the pooled two-proportion z-test with continuity correction; 1 where nothing differs."""
    if not rows or not reference_rows:
        return 1.0
    pooled = (count + reference_count) / (rows + reference_rows)
    scale = 1 / rows + 1 / reference_rows
    difference = abs(count / rows - reference_count / reference_rows) - scale / 2
    error = math.sqrt(pooled * (1 - pooled) * scale)
    return math.erfc(difference / error / math.sqrt(2)) if error > 0 and difference > 0 else 1.0

"""Transformation: conforming rows to numbers.

`fit_encoder` looks at rows and never at the target, and is fitted once. What looks at the target (`target_encoding`,
`dense`) is fitted inside the folds, by the model family that wants it.

Every column encoder answers for a whole column and for one value with the same bits, so it may only use arithmetic
that is done element by element or in the order of the row: no BLAS, no pairwise sums.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowsmith.transformation.restorers import RESTORERS
    from rowsmith.transformation.table import TableEncoder, fit_encoder

__all__ = ["RESTORERS", "TableEncoder", "fit_encoder"]

# Lazy: a worker process that fits a learner needs the supervised half alone, and no dataframe library.
_HOMES = {"RESTORERS": "restorers", "TableEncoder": "table", "fit_encoder": "table"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Whom: how the prediction log knows somebody who asks to be forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rowsmith.conform.sought import Sought
from rowsmith.monitoring.log_values import decode


@dataclass(frozen=True, slots=True)
class Whom:
    """By a column of the inputs, with the pseudonyms of its values where there are any; and by ids of predictions."""

    sought: Sought | None
    ids: frozenset[str] = frozenset()

    def is_meant(self, id_: str, inputs: str | None) -> bool:
        if id_ in self.ids:
            return True
        if self.sought is None or inputs is None:
            return False
        return self.sought.matches(decode(inputs).get(self.sought.column))

    def among(self, inputs: pl.DataFrame, ids: Sequence[str]) -> list[str]:
        """The ids of the rows of a table that are meant."""
        found = self.ids.intersection(ids)
        if self.sought is not None and self.sought.column in inputs.columns:
            values = inputs[self.sought.column]
            is_meant = values.is_in(self.sought.among(values).implode()).fill_null(False)
            found |= {ids[row] for row in is_meant.arg_true().to_list()}
        return [id_ for id_ in ids if id_ in found]

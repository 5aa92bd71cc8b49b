"""Answered rows that came as a table, on their way into the prediction log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from rowsmith.monitoring.log_values import encode, encode_rows

if TYPE_CHECKING:
    from rowsmith.monitoring.log import LogEntry


@dataclass(frozen=True, slots=True)
class LogTable:
    """`common` is what an entry of each row has but for its id, inputs and answer. `inputs` is a conforming frame."""

    common: LogEntry
    ids: Sequence[str]
    inputs: pl.DataFrame
    answers: Sequence[Mapping[str, Any]]

    def entries(self) -> Iterator[LogEntry]:
        """One for each row, to be treated like any other."""
        for id_, row, answer in zip(self.ids, self.inputs.to_dicts(), self.answers, strict=True):
            yield replace(self.common, id=id_, inputs=row, answer=answer)

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """The id, the inputs and the answer of each row as they are stored; much quicker than an entry for each."""
        return zip(self.ids, encode_rows(self.inputs), map(encode, self.answers), strict=True)

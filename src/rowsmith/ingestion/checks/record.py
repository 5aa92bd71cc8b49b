"""What a check is, what it looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import polars as pl

from rowsmith.conform.parsing import converter
from rowsmith.conform.series import conform_series
from rowsmith.ingestion.split import rows_with_target, take_rows
from rowsmith.ingestion.table import Table
from rowsmith.recipe import Recipe
from rowsmith.schema import KINDS_WITHOUT_INFORMATION, Column, Schema
from rowsmith.types import ColumnKind, Finding, Role, Severity

SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class NotApplicable:
    """The check has nothing to look at in this table: an outcome of its own, neither good nor bad."""

    reason: str


@dataclass(frozen=True)
class Observation:
    """What a check saw. `severity` is None for the check's own; `evidence` never holds the values of single rows.

    `of_held` says that it was seen in the rows that are held, which may be a sample, and not counted in all of them.
    """

    message: str
    columns: tuple[str, ...] = ()
    evidence: Mapping[str, Any] | None = None
    advice: str = ""
    severity: Severity | None = None
    of_held: bool = False


Outcome: TypeAlias = "Sequence[Observation] | NotApplicable"


class Tally(Protocol):
    """What a check counts in all rows, in batches. It is made with the rows that are held, which tell what to count."""

    def __init__(self, examined: Examined) -> None: ...

    def see(self, part: Examined) -> None: ...


SomeTally = TypeVar("SomeTally", bound=Tally)


@dataclass(frozen=True)
class Check:
    """`severity` is that of an observation that says none. Nothing to report is an empty sequence.

    `tallies` are what its function asks for (see `Examined.tally`), so that all checks together go through the table
    only once.
    """

    code: str
    title: str
    severity: Severity
    function: Callable[[Examined], Outcome]
    tallies: tuple[type[Tally], ...] = ()

    def findings(self, examined: Examined) -> tuple[Finding, ...]:
        outcome = self.function(examined)
        if isinstance(outcome, NotApplicable):
            return ()
        return tuple(
            Finding(
                self.code,
                seen.severity or self.severity,
                self.title,
                seen.message.rstrip(".") + _seen_where(seen, examined) + ".",
                seen.columns,
                {**(seen.evidence or {}), **_sampled(seen, examined)},
                seen.advice,
            )
            for seen in outcome
        )


def _seen_where(seen: Observation, examined: Examined) -> str:
    return f" (in {examined.frame.height:,} of {examined.rows:,} rows)" if _sampled(seen, examined) else ""


def _sampled(seen: Observation, examined: Examined) -> dict[str, int]:
    """For the evidence; empty where the observation is one of all rows."""
    return {"sampled_rows": examined.frame.height} if seen.of_held and examined.is_sample else {}


@dataclass(frozen=True)
class Examined:
    """The rows that are held of a table, as they were read, and what was decided about it.

    `table` is None where they are all of it. Counts are those of a tally, and so of all rows; what takes a view of
    many rows at once is looked for in those that are held.
    """

    frame: pl.DataFrame
    schema: Schema
    recipe: Recipe
    table: Table | None = None
    _tallies: dict[type[Tally], Tally] = field(default_factory=dict, compare=False, repr=False)
    _values: dict[str, pl.Series] = field(default_factory=dict, compare=False, repr=False)

    @property
    def rows(self) -> int:
        """Of the table."""
        return self.frame.height if self.table is None else self.table.rows

    @property
    def is_sample(self) -> bool:
        return self.rows > self.frame.height

    def tally(self, kind: type[SomeTally]) -> SomeTally:
        """What it counted in all rows."""
        if kind not in self._tallies:
            self.count([kind])
        return cast(SomeTally, self._tallies[kind])

    def count(self, kinds: Iterable[type[Tally]]) -> None:
        """Go through the table once for several tallies."""
        made = {kind: kind(self) for kind in kinds}
        for part in self._parts():
            for one in made.values():
                one.see(part)
        self._tallies.update(made)

    def _parts(self) -> Iterable[Examined]:
        if self.table is None:
            return [self]
        return (self._with(batch) for _, batch in self.table.batches())

    def _with(self, frame: pl.DataFrame) -> Examined:
        return Examined(frame, self.schema, self.recipe)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Those that are in the table and that the user did not set aside."""
        return tuple(c for c in self.schema if Role.IGNORED not in c.roles and c.name in self.frame.columns)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_feature)

    def values(self, column: Column) -> pl.Series:
        """The column's values of the type of its kind; what cannot be read is null."""
        if column.name not in self._values:
            as_kind = ColumnKind.TEXT if column.kind in KINDS_WITHOUT_INFORMATION else column.kind
            raw = self.frame[column.name]
            self._values[column.name] = conform_series(raw, as_kind, converter(as_kind, column.parsing))[0]
        return self._values[column.name]

    @cached_property
    def labelled(self) -> Examined:
        """Those of the rows held that have a target."""
        return self._with(take_rows(self.frame, rows_with_target(self.frame, self.schema)))

    @cached_property
    def sample(self) -> Examined:
        """At most `SAMPLE_ROWS` rows, the same for the same seed."""
        if self.frame.height <= SAMPLE_ROWS:
            return self
        random = np.random.default_rng(self.recipe.train.seed)
        rows = np.sort(random.choice(self.frame.height, SAMPLE_ROWS, replace=False))
        return self._with(self.frame[rows])


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a sentence: the first few, and how many more."""
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"

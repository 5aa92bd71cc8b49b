"""What a check is, what it looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from rowsmith.conform.parsing import converter
from rowsmith.conform.series import conform_series
from rowsmith.ingestion.split import rows_with_target
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
    """What a check saw. `severity` is None for the check's own; `evidence` never holds the values of single rows."""

    message: str
    columns: tuple[str, ...] = ()
    evidence: Mapping[str, Any] | None = None
    advice: str = ""
    severity: Severity | None = None


Outcome: TypeAlias = "Sequence[Observation] | NotApplicable"


@dataclass(frozen=True)
class Check:
    """`severity` is that of an observation that says none. Nothing to report is an empty sequence."""

    code: str
    title: str
    severity: Severity
    function: Callable[[Examined], Outcome]

    def findings(self, examined: Examined) -> tuple[Finding, ...]:
        outcome = self.function(examined)
        if isinstance(outcome, NotApplicable):
            return ()
        return tuple(
            Finding(
                self.code,
                seen.severity or self.severity,
                self.title,
                seen.message.rstrip(".") + ".",
                seen.columns,
                dict(seen.evidence or {}),
                seen.advice,
            )
            for seen in outcome
        )


@dataclass(frozen=True)
class Examined:
    """The table as it was read, and what was decided about it."""

    frame: pl.DataFrame
    schema: Schema
    recipe: Recipe

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Those that are in the table and that the user did not set aside."""
        return tuple(c for c in self.schema if Role.IGNORED not in c.roles and c.name in self.frame.columns)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_feature)

    def values(self, column: Column) -> pl.Series:
        """The column's values of the type of its kind; what cannot be read is null."""
        as_kind = ColumnKind.TEXT if column.kind in KINDS_WITHOUT_INFORMATION else column.kind
        return conform_series(self.frame[column.name], as_kind, converter(as_kind, column.parsing))[0]

    @cached_property
    def labelled(self) -> Examined:
        """The rows that have a target."""
        return replace(self, frame=self.frame[rows_with_target(self.frame, self.schema)])

    @cached_property
    def sample(self) -> Examined:
        """At most `SAMPLE_ROWS` rows, the same for the same seed."""
        if self.frame.height <= SAMPLE_ROWS:
            return self
        random = np.random.default_rng(self.recipe.train.seed)
        rows = np.sort(random.choice(self.frame.height, SAMPLE_ROWS, replace=False))
        return replace(self, frame=self.frame[rows])


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a sentence: the first few, and how many more."""
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"

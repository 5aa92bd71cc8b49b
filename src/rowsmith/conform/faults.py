"""Faults: those of one table or row, sorted by policy as they come in."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from rowsmith.conform.rule import Rule, show
from rowsmith.errors import Fault, SchemaError
from rowsmith.schema import Policies

MAX_FAULTS = 100
MAX_FAULTS_OF_COLUMN = 20
MAX_EXAMPLES = 3


@dataclass(slots=True)
class Faults:
    policies: Policies
    first_row: int = 0
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    _odd: list[pl.Series] = field(default_factory=list, init=False)
    _is_about_all: bool = field(default=False, init=False)

    @property
    def odd(self) -> tuple[int, ...] | None:
        """The rows that warnings are about, in order; None where one is about all rows."""
        if self._is_about_all:
            return None
        return tuple(pl.concat(self._odd).unique().sort().to_list()) if self._odd else ()

    def add(self, code: str, column: str, message: str, *, received: str = "", allowed: str = "") -> None:
        """A fault of a column, or of the only row."""
        policy = self._policy(code)
        self._is_about_all |= policy == "warn"
        self._put([Fault(code, column, message, None, received, allowed)], policy)

    def add_rows(self, code: str, rule: Rule, mask: pl.Series, raw: pl.Series) -> None:
        """The same fault in many rows: one by one for errors, up to a limit; in one sentence for warnings."""
        policy = self._policy(code)
        rows = mask.arg_true()
        if policy == "accept" or not len(rows):
            return
        if policy == "warn":
            self._odd.append(rows)
        if policy == "warn" and len(rows) > 1:
            self._put([self._summary(code, rule, rows, raw)], policy)
            return
        first = rows.head(MAX_FAULTS_OF_COLUMN).to_list()
        faults = [self._in_row(code, rule, row, raw) for row in first]
        if len(rows) > len(first):
            faults.append(self._summary(code, rule, rows, raw))
        self._put(faults, policy)

    def raise_errors(self) -> None:
        """Raises SchemaError if there are any."""
        if not self.errors:
            return
        kept = self.errors[:MAX_FAULTS]
        if len(self.errors) > MAX_FAULTS:
            others = sorted({fault.column for fault in self.errors[MAX_FAULTS:]})
            message = f"{len(self.errors) - MAX_FAULTS} more faults, in: {', '.join(others)}"
            kept.append(Fault(self.errors[MAX_FAULTS].code, others[0], message))
        raise SchemaError(kept)

    def _policy(self, code: str) -> str:
        """What the recipe expects has no policy: to be lenient is to expect less."""
        return "error" if code == "not_expected" else getattr(self.policies, code)

    def _put(self, faults: list[Fault], policy: str) -> None:
        if policy == "error":
            self.errors.extend(faults)
        elif policy == "warn":
            self.warnings.extend(faults)

    def _in_row(self, code: str, rule: Rule, row: int, raw: pl.Series) -> Fault:
        received = "" if code == "missing_value" else show(raw[row])
        return Fault(
            code, rule.column.name, rule.message(code, received), self.first_row + row, received, rule.allowed_for(code)
        )

    def _summary(self, code: str, rule: Rule, rows: pl.Series, raw: pl.Series) -> Fault:
        """All rows of one fault in one sentence."""
        first = rows.head(MAX_FAULTS_OF_COLUMN).to_list()
        examples = (
            ""
            if code == "missing_value"
            else ", ".join(list(dict.fromkeys(show(raw[row]) for row in first))[:MAX_EXAMPLES])
        )
        places = ", ".join(str(self.first_row + row) for row in first[:MAX_EXAMPLES])
        message = f"{rule.message(code, examples)} ({len(rows)} rows, the first: {places})"
        return Fault(code, rule.column.name, message, None, examples, rule.allowed_for(code))

"""The types of the columns of a CSV file, settled by every value in it.

A column is of integers or numbers when each of its values is written as one. Values with leading zeros (postcodes),
more digits than a number holds (card numbers), or any text among them leave a column as text, exactly as written. How
the file is cut into batches makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rowsmith.conform.plain import FLOAT64, INT64, NULL, STRING, plain_series

LARGEST_EXACT = 2.0**53
LEADING_ZERO = r"^[+-]?0\d"
ONLY_DIGITS = r"^[+-]?\d+$"
# A comma before anything but three digits cannot stand between thousands.
SURELY_DECIMAL = r"^[+-]?(\d{4,}|0|),\d+$|,\d{1,2}$|,\d{4,}$"


@dataclass
class _Column:
    """What every value so far can be. `large` is whether one is a whole number that a float may not hold."""

    seen: bool = False
    integer: bool = True
    point: bool = True
    comma: bool = True
    surely_comma: bool = False
    large: bool = False

    @property
    def is_open(self) -> bool:
        return self.integer or ((self.point or self.comma) and not self.large)

    def close(self) -> None:
        self.integer = self.point = self.comma = False


class TypeEvidence:
    """Gathers over batches what each column can be. `decimal` "." or "," is given, or found at the end."""

    def __init__(self, names: Sequence[str], *, separator: str, decimal: str | None) -> None:
        self._given = decimal
        # Where the comma separates fields, one inside a field is left to the schema to explain.
        tries_comma = decimal == "," or (decimal is None and separator != ",")
        self._columns = {name: _Column(point=decimal != ",", comma=tries_comma) for name in names}

    def update(self, batch: pl.DataFrame) -> None:
        """Columns of text, or of `numbers` that were parsed already."""
        for name, column in self._columns.items():
            if not column.is_open:
                continue
            values = batch[name].drop_nulls()
            if not len(values):
                continue
            column.seen = True
            if values.dtype == STRING:
                _narrow(column, values)
            elif values.dtype == INT64:
                column.large = column.large or not are_exact(values)

    @property
    def numbers(self) -> dict[str, pl.DataType]:
        """Columns that hold nothing but plain numbers so far, and would show at once that one is none."""
        return {
            name: INT64 if column.integer else FLOAT64
            for name, column in self._columns.items()
            if column.seen and column.is_open and (column.integer or not column.comma)
        }

    @property
    def decimal(self) -> str:
        if self._given is not None:
            return self._given
        columns = [
            column for column in self._columns.values() if column.seen and not column.integer and not column.large
        ]
        only_point = any(column.point and not column.comma for column in columns)
        only_comma = any(column.comma and not column.point and column.surely_comma for column in columns)
        return "," if only_comma and not only_point else "."

    @property
    def columns(self) -> dict[str, pl.DataType]:
        return {name: self._type(column) for name, column in self._columns.items()}

    def _type(self, column: _Column) -> pl.DataType:
        if not column.seen:
            return NULL
        if column.integer:
            return INT64
        fits = column.comma if self.decimal == "," else column.point
        return FLOAT64 if fits and not column.large else STRING


def _narrow(column: _Column, values: pl.Series) -> None:
    whole = values.cast(INT64, strict=False)
    if whole.null_count():
        values = values.str.strip_chars()
        values = values.filter(values != "")
        whole = values.cast(INT64, strict=False)
    if values.str.contains(LEADING_ZERO).any():
        column.close()
    elif whole.null_count():
        column.integer = False
        column.point = column.point and _are_numbers(values)
        if column.comma:
            column.comma = _are_comma_numbers(values)
            column.surely_comma |= column.comma and bool(values.str.contains(SURELY_DECIMAL).any())
    else:
        column.large = column.large or not are_exact(whole)


def are_exact(numbers: pl.Series) -> bool:
    """Whether all are finite, and so small that every whole number is among them; NaN is neither here nor there."""
    least, most = numbers.min(), numbers.max()
    return least is None or (float(least) > -LARGEST_EXACT and float(most) < LARGEST_EXACT)  # type: ignore[arg-type]


def _are_numbers(values: pl.Series) -> bool:
    numbers = values.cast(FLOAT64, strict=False)
    if numbers.null_count() or numbers.is_infinite().any():
        return False
    large = values.filter(numbers.abs() >= LARGEST_EXACT)
    return not (len(large) and large.str.contains(ONLY_DIGITS).any())


def _are_comma_numbers(values: pl.Series) -> bool:
    return not values.str.contains(".", literal=True).any() and _are_numbers(_with_point(values))


def _with_point(values: pl.Series) -> pl.Series:
    return values.str.replace(",", ".", literal=True)


def convert(
    batch: pl.DataFrame, types: Mapping[str, pl.DataType], evidence: TypeEvidence, *, where: str
) -> pl.DataFrame:
    """A batch, of text but for numbers that were parsed already, brought to `types`, columns in their order."""
    found = evidence.columns
    comma = evidence.decimal == ","
    columns = []
    for name, wanted in types.items():
        series = batch[name]
        if series.dtype == STRING and wanted != STRING and found[name] != NULL:
            series = _parsed(_with_point(series) if comma and found[name] == FLOAT64 else series, found[name])
        columns.append(plain_series(series, wanted, where=where))
    return pl.DataFrame(columns)


def _parsed(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Text that is known to be of numbers and blanks."""
    values = series.cast(dtype, strict=False)
    return values if values.null_count() == series.null_count() else series.str.strip_chars().cast(dtype, strict=False)

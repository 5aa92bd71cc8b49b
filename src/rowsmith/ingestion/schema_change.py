"""Schema change: how the columns of a source differ from those of the snapshot before, and what happens then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rowsmith.conform.plain import common_type, final_type, plain_series, type_name
from rowsmith.errors import SourceError
from rowsmith.types import JsonObject


@dataclass(frozen=True)
class SchemaChange:
    """`changed` maps a name to the types before and now."""

    added: Mapping[str, str]
    lost: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.lost or self.changed)

    def __str__(self) -> str:
        told = [
            *(f'"{name}" is new ({kind})' for name, kind in self.added.items()),
            *(f'"{name}" is gone ({kind})' for name, kind in self.lost.items()),
            *(f'"{name}" was {before} and is {now}' for name, (before, now) in self.changed.items()),
        ]
        return "; ".join(told)

    def to_dict(self) -> JsonObject:
        return {
            "added": dict(self.added),
            "lost": dict(self.lost),
            "changed": {name: list(kinds) for name, kinds in self.changed.items()},
        }


def compare(before: Mapping[str, pl.DataType], now: Mapping[str, pl.DataType]) -> SchemaChange:
    """A type that holds the other's values, too, is no change; nor is the order of columns."""
    return SchemaChange(
        added={name: type_name(final_type(kind)) for name, kind in now.items() if name not in before},
        lost={name: type_name(kind) for name, kind in before.items() if name not in now},
        changed={
            name: (type_name(kind), type_name(now[name]))
            for name, kind in before.items()
            if name in now and common_type([kind, now[name]]) != kind
        },
    )


def widened(before: Mapping[str, pl.DataType], now: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """The columns of both, each of a type that holds the values of both."""
    types = {name: common_type([kind, now.get(name, pl.Null())]) for name, kind in before.items()}
    return types | {name: final_type(kind) for name, kind in now.items() if name not in before}


def brought_to(batch: pl.DataFrame, types: Mapping[str, pl.DataType], *, where: str) -> pl.DataFrame:
    """Those columns, in their order; what is not there is missing, what is there besides is left out."""
    nothing = pl.Series([None] * batch.height)
    return pl.DataFrame(
        [
            plain_series(batch[name], dtype, where=where) if name in batch.columns else nothing.cast(dtype).alias(name)
            for name, dtype in types.items()
        ]
    )


def refusal(change: SchemaChange, *, where: str, columns: Mapping[str, pl.DataType]) -> SourceError:
    return SourceError(
        "the columns of this source changed since it was read last",
        where=where,
        received=str(change),
        allowed=f"the columns {', '.join(columns)}",
        next_step='say what shall happen: on_schema_change = "add" (new columns come in, missing in old rows) or '
        '"ignore" (they stay out) under [data.incremental], or --on-schema-change',
    )

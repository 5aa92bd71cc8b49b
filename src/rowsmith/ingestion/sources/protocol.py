"""What a source is, and what it gives.

A source is asked to `open` what the user named: it says which columns there are and of which types, and reads the rows
only when its batches are walked. It is told what it answered last time (`Context.since`), and may give what is new.

Faults are SourceError (the place, the network or the rows are at fault) or RecipeError (the options are), translated
once, where the foreign exception is caught, with a next step. Nothing that a source says holds a secret: values come
through `Context.secrets`, addresses are shown by `address.shown`, and messages of others go through `Secrets.hide`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import polars as pl

from rowsmith.ingestion.sources.local_file import TemporaryFile
from rowsmith.ingestion.sources.secrets import Secrets
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject


class Table(Protocol):
    """Something opened: its columns and their types are known, its rows are not read yet."""

    @property
    def columns(self) -> Mapping[str, pl.DataType]:
        """Names in order, with types that all values have (see `Context.may_guess`).

        `pl.Null` stands for a column without any value.
        """
        ...

    @property
    def facts(self) -> JsonObject:
        """How it was read: plain JSON."""
        ...

    @property
    def description(self) -> str:
        """Its name for people: the path, the address without secrets, or what kind of thing it is."""
        ...

    def batches(self, types: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        """The rows in order, brought to `types`, which are those of `columns` or wider. May be called once."""
        ...


@runtime_checkable
class Guessed(Protocol):
    """A table whose types are no more than likely until it is settled."""

    def settle(self) -> None:
        """Look at all rows. Raises SourceError for a broken one."""
        ...


@dataclass(frozen=True, eq=False)
class Original:
    """A Parquet file, ours to keep or to move away, of which just these many rows are, in the order of its batches."""

    file: TemporaryFile
    rows: int


@runtime_checkable
class HasOriginals(Protocol):
    """A table that knows of files which hold its rows just as its batches do: the same columns, types and values."""

    def original_of(self, batch: pl.DataFrame) -> Original | None:
        """The file that a batch comes from, if it is the very one that was given last, and nothing in it was changed.

        The batches of a file come one after another, the same original with each; only together are they all of it.
        """
        ...


def original_of(table: Table | None, batch: pl.DataFrame) -> Original | None:
    """The same of any table."""
    return table.original_of(batch) if isinstance(table, HasOriginals) else None


class Unsettled(Exception):
    """A row does not fit what was guessed of types or encoding: read again, without `Context.may_guess`.

    It comes before the end of the batches, and only to those who let types be guessed.
    """


@dataclass(frozen=True)
class Context:
    """What a source may use besides the origin and the options.

    `secrets` fills in `${NAME}` and `${file:PATH}`; a source hands it every option that may hold one. `since` is the
    mark of the last complete reading (see `Opened.mark`), None at the first. Relative paths in options start from
    `root`. `named_here` is whether the user named the origin in this very call; otherwise it comes from a recipe,
    which may be somebody else's. `internal` are hosts and networks that may be read though they are internal.
    `may_guess` lets a source say types that are no more than likely, where looking at all rows first would take as long
    as reading them: a wrong guess ends the batches with Unsettled.
    """

    secrets: Secrets = field(default_factory=Secrets)
    since: JsonObject | None = None
    root: Path = Path()
    named_here: bool = True
    internal: tuple[str, ...] = ()
    may_guess: bool = False


def no_mark() -> JsonObject | None:
    """For sources that cannot tell what is new."""
    return None


def no_original(batch: pl.DataFrame) -> Original | None:
    """For rows that are in no file just as they are."""
    return None


@dataclass(frozen=True)
class Opened:
    """What a source answers when it is opened.

    `mark` is called after the last batch: plain JSON by which the next reading knows what is new (the greatest value of
    a cursor column, an ETag, names of files), handed back as `Context.since`. `only_new` says that the rows are those
    since that mark, and not the whole table again. `expected_rows` is for progress, and may be an estimate.
    """

    table: Table
    mark: Callable[[], JsonObject | None] = no_mark
    only_new: bool = False
    expected_rows: int | None = None


class Source(Protocol):
    """A kind of place that rows come from."""

    @property
    def name(self) -> str: ...

    def accepts(self, origin: object) -> bool:
        """Whether this is the source for what the user named; looks, does not read."""
        ...

    def open(self, origin: object, options: DataSection, context: Context) -> Opened | None:
        """None where it is known already that there is nothing new since `context.since`.

        Raises SourceError for what cannot be read, RecipeError for options that make no sense.
        """
        ...


@dataclass(frozen=True)
class Reading:
    """What `read_batches` answers. The iterator can be walked once; call `mark` after its end.

    `columns` are those of the table; one that has no value yet is `pl.Null` here and text in the batches.
    `original_of` is that of `HasOriginals`.
    """

    batches: Iterator[pl.DataFrame]
    columns: Mapping[str, pl.DataType]
    facts: JsonObject
    description: str
    mark: Callable[[], JsonObject | None] = no_mark
    only_new: bool = False
    expected_rows: int | None = None
    original_of: Callable[[pl.DataFrame], Original | None] = no_original

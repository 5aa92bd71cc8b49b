"""Rows of the prediction log by their ids, whether they are an entry by themselves or one of many of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence, Set
from typing import Any

import orjson
import polars as pl
from sqlalchemy import Connection, delete, select, update

from rowsmith.monitoring.log_table import columns_in, numbers_in, numbers_left, place_of, write_columns
from rowsmith.storage.tables import outcomes, predictions

IDS_A_QUERY = 900
"""The oldest SQLite takes 999 values."""


def chunks(ids: Collection[str]) -> Iterator[Sequence[str]]:
    """As many at a time as a query may name."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), IDS_A_QUERY):
        yield ordered[start : start + IDS_A_QUERY]


def there(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those that the database has, with or without their inputs."""
    return set(entries_of(connection, ids))


def entries_of(connection: Connection, ids: Collection[str], *conditions: Any) -> dict[str, str]:
    """The entry of each id that there is: its own, or one that stands for many rows; of entries of which `conditions`
    hold."""
    p = predictions.c
    found: dict[str, str] = {}
    for some in chunks(ids):
        single = select(p.id).where(p.id.in_(some), p.rows.is_(None), *conditions)
        found |= {id_: id_ for id_ in connection.scalars(single)}
    places = _by_entry(id_ for id_ in ids if id_ not in found)
    for some in chunks(places):
        tables = select(p.id, p.rows, p.erased).where(p.id.in_(some), p.rows.is_not(None), *conditions)
        for entry, rows, erased in connection.execute(tables):
            left = numbers_left(rows, numbers_in(erased))
            found |= {id_: entry for number, id_ in places[entry].items() if number in left}
    return found


def take_out(connection: Connection, ids: Collection[str], *, moved: bool = False) -> None:
    """Delete rows and their outcomes. The content of a table is written anew without them.

    Of a table whose content was moved to a file they are only taken with `moved`, in the transaction that lists
    another file in its place.
    """
    p = predictions.c
    for some in chunks(ids):
        connection.execute(delete(predictions).where(p.id.in_(some), p.rows.is_(None)))
        connection.execute(delete(outcomes).where(outcomes.c.prediction_id.in_(some)))
    places = _by_entry(ids)
    for some in chunks(places):
        query = select(p.id, p.rows, p.erased, p.content, p.archive).where(p.id.in_(some), p.rows.is_not(None))
        for line in connection.execute(query.with_for_update()).all():
            if line.content is not None or (line.archive is not None and moved):
                _take_out_of(connection, line, places[line.id].keys())


def _take_out_of(connection: Connection, line: Any, numbers: Set[int]) -> None:
    erased = numbers_in(line.erased)
    before = numbers_left(line.rows, erased)
    stays = [number not in numbers for number in before]
    if all(stays):
        return
    this = predictions.c.id == line.id
    if not any(stays):
        connection.execute(delete(predictions).where(this))
        return
    content = None
    if line.content is not None:
        content = write_columns(columns_in(line.content).filter(pl.Series(stays)))
    gone = sorted(erased | (numbers & set(before)))
    values = {"rows": sum(stays), "erased": orjson.dumps(gone).decode(), "content": content}
    connection.execute(update(predictions).where(this).values(**values))


def _by_entry(ids: Any) -> dict[str, dict[int, str]]:
    """Ids by the number that they are in a table, of each table that they may be in."""
    places: dict[str, dict[int, str]] = defaultdict(dict)
    for id_ in ids:
        place = place_of(id_)
        if place is not None:
            places[place[0]][place[1]] = id_
    return places

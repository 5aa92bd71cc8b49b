"""Inserts of the prediction log, as each database takes many entries quickest. A known id is left as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import orjson

from rowsmith.monitoring.log_entries import COLUMNS, TABLE_COLUMNS, Row, is_table
from rowsmith.storage.database import Database
from rowsmith.storage.tables import predictions

Insert: TypeAlias = Callable[[Database, Any, Sequence[Row]], None]
"""The database, a raw connection of it, and rows of COLUMNS or TABLE_COLUMNS: one transaction."""

PATIENCE_SECONDS = 5.0
"""How long an append waits for the database. A caller who has waited that long is told to come back."""
SINGLE = f"INSERT INTO {predictions.name} ({', '.join(COLUMNS)})"
TABLE = f"INSERT INTO {predictions.name} ({', '.join(TABLE_COLUMNS)})"
ONCE = "ON CONFLICT (id) DO NOTHING"
PLACES = f"({', '.join('?' * len(COLUMNS))})"
ROWS_A_STATEMENT = 999 // len(COLUMNS)
"""Every statement gives the interpreter's lock away and waits for it again, so many rows share one; the oldest SQLite
takes 999 values."""
SQLITE = f"{SINGLE} VALUES {PLACES} {ONCE}"
SQLITE_MANY = f"{SINGLE} VALUES {', '.join([PLACES] * ROWS_A_STATEMENT)} {ONCE}"
SQLITE_TABLE = f"{TABLE} VALUES ({', '.join('?' * len(TABLE_COLUMNS))}) {ONCE}"
# One parameter for any number of rows. For 10,000 of them four times faster than an array for each column; for a
# single one faster, too, since it is one parameter instead of ten.
NUMBERS = {"version": "bigint", "time": "bigint", "latency_ms": "float8", "experiment": "bigint"}
RECORD = ", ".join(f"{name} {NUMBERS.get(name, 'text')}" for name in COLUMNS)
POSTGRESQL = f"{SINGLE} SELECT {', '.join(COLUMNS)} FROM json_to_recordset(%s::json) AS given({RECORD}) {ONCE}"
POSTGRESQL_TABLE = f"{TABLE} VALUES ({', '.join(['%s'] * len(TABLE_COLUMNS))}) {ONCE}"


def insert_sqlite(database: Database, connection: Any, rows: Sequence[Row]) -> None:
    single, tables = _sorted_out(rows)
    database.begin_raw(connection, wait_seconds=PATIENCE_SECONDS)
    whole = len(single) - len(single) % ROWS_A_STATEMENT
    for start in range(0, whole, ROWS_A_STATEMENT):
        values = [value for row in single[start : start + ROWS_A_STATEMENT] for value in row]
        connection.execute(SQLITE_MANY, values)
    connection.executemany(SQLITE, single[whole:])
    connection.executemany(SQLITE_TABLE, tables)
    connection.execute("COMMIT")


def insert_postgresql(_: Database, connection: Any, rows: Sequence[Row]) -> None:
    # In the order of the ids: two writers of the same ids would wait for each other otherwise.
    single, tables = _sorted_out(sorted(rows, key=lambda row: row[0]))
    if not tables:
        _insert_records(connection, single)
        return
    with connection.transaction():
        if single:
            _insert_records(connection, single)
        for row in tables:
            connection.execute(POSTGRESQL_TABLE, row, prepare=True)


def _insert_records(connection: Any, rows: Sequence[Row]) -> None:
    records = orjson.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    connection.execute(POSTGRESQL, [records.decode()], prepare=True)


def _sorted_out(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Those of single rows, and those of tables."""
    tables = [row for row in rows if is_table(row)]
    return ([row for row in rows if not is_table(row)], tables) if tables else (rows, tables)

"""Entries of the prediction log: as they are handed in, and the rows of the database that they become."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from rowsmith.errors import UsageError
from rowsmith.monitoring.log_privacy import Privacy
from rowsmith.monitoring.log_times import to_microseconds
from rowsmith.monitoring.log_values import encode
from rowsmith.monitoring.random_digits import random_digits
from rowsmith.storage.tables import predictions

Source = Literal["api", "page", "batch"]
Status = Literal["ok", "error"]
Role = Literal["champion", "canary", "challenger", "shadow", "named"]

Row: TypeAlias = Sequence[Any]
"""Values in the order of COLUMNS; of an entry that stands for many rows, in that of TABLE_COLUMNS."""

MAX_ID_CHARACTERS = 200
OF_TABLES = ("rows", "content")
LATER = ("archive", "erased")
"""What becomes of an entry is the business of compaction and erasure."""
COLUMNS = tuple(str(column.name) for column in predictions.columns if column.name not in (*OF_TABLES, *LATER))
TABLE_COLUMNS = (*COLUMNS, *OF_TABLES)


class LogEntry(NamedTuple):
    """One row that was asked about. A naive `time` counts as UTC.

    `inputs` is the row and `answer` is Prediction.to_dict(). A refused row has the status `error` and says why in
    `code`; it counts for the error rate, and its inputs are not kept. `latency_ms` is that of the whole request.
    `version` is None where none was found to answer.

    `role` is as whom the version answered: the champion, a canary, the challenger of a split, a `shadow` (whose answer
    nobody was given) or one that the caller `named`. While a traffic rule is in force (see registry/traffic.py),
    `experiment` is its position and `unit` a hash of what traffic is split by. `shadow_of` is the id of the answer that
    was given instead of a shadow's; its true outcome is the shadow's too.
    """

    id: str
    name: str
    version: int | None
    time: datetime
    inputs: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    latency_ms: float | None = None
    source: Source = "api"
    status: Status = "ok"
    code: str = ""
    role: Role = "champion"
    experiment: int | None = None
    unit: str | None = None
    shadow_of: str | None = None


def new_ids(count: int) -> list[str]:
    """Ids for predictions: 32 hexadecimal digits, unique everywhere, in growing order.

    The first 12 are the milliseconds since 1970 (as in RFC 9562, version 7), so that an index grows at its end. Rows
    that are given them in turn and logged at one time keep their order in a window.
    """
    start = f"{time.time_ns() // 1_000_000:012x}"
    if count == 1:
        return [start + random_digits(20)]
    digits = os.urandom(10 * count).hex()
    return sorted(start + digits[20 * i : 20 * i + 20] for i in range(count))


def row_of(entry: LogEntry, privacy: Privacy | None) -> Row:
    """In the order of COLUMNS. Raises UsageError for an id or a value that cannot be stored."""
    id_, kept = entry.id, entry.status == "ok"
    inputs, answer = entry.inputs, entry.answer
    if privacy is not None:
        inputs = None if inputs is None else privacy.inputs(inputs)
        answer = None if answer is None else privacy.answer(answer)
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID_CHARACTERS or not id_.isprintable():
        raise UsageError(
            "this cannot be the id of a prediction",
            received=repr(id_)[:MAX_ID_CHARACTERS],
            allowed=f"1 to {MAX_ID_CHARACTERS} printable characters",
        )
    return (
        id_,
        entry.name,
        entry.version,
        to_microseconds(entry.time),
        encode(inputs) if kept and inputs is not None else None,
        encode(answer) if kept and answer is not None else None,
        entry.latency_ms,
        entry.source,
        entry.status,
        entry.code,
        entry.role,
        entry.experiment,
        entry.unit,
        entry.shadow_of,
    )


def is_table(row: Row) -> bool:
    return len(row) > len(COLUMNS)


def rows_in(rows: Sequence[Row]) -> int:
    """How many predictions these entries stand for."""
    return sum(row[-2] if is_table(row) else 1 for row in rows)

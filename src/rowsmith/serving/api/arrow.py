"""Arrow IPC streams as rows: checked before they are read, since a stream says how much memory it wants.

Only the frame of the stream is looked at here: each message is a length, a table of FlatBuffers and a body. What
compresses its own buffers is refused, because the sizes it expands to are the sender's word; a whole body may be
compressed instead, which is measured while it is expanded. The format is written down in
https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import polars as pl

from rowsmith.serving.errors import Problem
from rowsmith.serving.table_rows import TableRows

ARROW_TYPE = "application/vnd.apache.arrow.stream"
CONTINUATION = 0xFFFFFFFF
# Fields of the tables Message and RecordBatch, and of the union MessageHeader, in the order of Message.fbs.
HEADER_TYPE, HEADER, BODY_LENGTH = 1, 2, 3
BATCH_LENGTH, BATCH_COMPRESSION = 0, 3
DICTIONARY_BATCH, DICTIONARY_DATA = 2, 1
RECORD_BATCH = 3
MOST_COLUMNS = 10_000


def read_table(body: bytes, *, max_rows: int) -> TableRows:
    """Raises Problem for what is no such stream, and for too many rows."""
    try:
        rows = sum(_rows_of_message(body, start, size) for start, size in _messages(body))
    except (struct.error, IndexError, OverflowError) as problem:
        raise _unreadable() from problem
    if rows > max_rows:
        raise Problem("invalid-request", f"{rows} rows at once; at most {max_rows} are taken")
    try:
        frame = pl.read_ipc_stream(io.BytesIO(body))
    except Exception as problem:
        # Whatever the library raises: it was the stream's fault.
        raise _unreadable() from problem
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        raise _unreadable() from problem
    if frame.height == 0:
        raise Problem("invalid-request", "the stream has no rows; give at least one")
    return TableRows(frame)


def write_table(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


def _unreadable() -> Problem:
    return Problem("malformed-request", "the body is not an Arrow IPC stream, or ends early")


def _messages(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the table of each message starts, and how long it is."""
    position = 0
    while position < len(body):
        mark, size = struct.unpack_from("<II", body, position)
        if mark != CONTINUATION:
            raise _unreadable()
        if size == 0:
            return
        start = position + 8
        position = start + size + _scalar(body, _table(body, start), BODY_LENGTH, "<q")
        if not start + size <= position <= len(body):
            raise _unreadable()
        yield start, size


def _rows_of_message(body: bytes, start: int, size: int) -> int:
    message = _table(body, start)
    kind = _scalar(body, message, HEADER_TYPE, "<B")
    if kind not in (DICTIONARY_BATCH, RECORD_BATCH):
        return 0
    batch = _child(body, message, HEADER)
    if kind == DICTIONARY_BATCH:
        batch = _child(body, batch, DICTIONARY_DATA)
    if _place(body, batch, BATCH_COMPRESSION):
        raise Problem(
            "invalid-request",
            "the stream compresses its own buffers; send it without, and compress the body (Content-Encoding: zstd)",
        )
    rows = _scalar(body, batch, BATCH_LENGTH, "<q")
    if rows < 0:
        raise _unreadable()
    return rows if kind == RECORD_BATCH else 0


def _table(body: bytes, place: int) -> int:
    return place + int(struct.unpack_from("<I", body, place)[0])


def _place(body: bytes, table: int, field: int) -> int:
    """Where a field of a table lies; 0 where it is not there."""
    directory = table - int(struct.unpack_from("<i", body, table)[0])
    if directory < 0:
        raise _unreadable()
    size = int(struct.unpack_from("<H", body, directory)[0])
    entry = 4 + 2 * field
    offset = int(struct.unpack_from("<H", body, directory + entry)[0]) if entry < size else 0
    return table + offset if offset else 0


def _scalar(body: bytes, table: int, field: int, code: str) -> int:
    place = _place(body, table, field)
    return int(struct.unpack_from(code, body, place)[0]) if place else 0


def _child(body: bytes, table: int, field: int) -> int:
    place = _place(body, table, field)
    if not place:
        raise _unreadable()
    return _table(body, place)

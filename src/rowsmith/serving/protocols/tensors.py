"""Tensors of the Open Inference Protocol: one for each column, as JSON or as bytes after it, in and out.

The bytes are the protocol's binary data extension: little-endian, row-major; text (BYTES) is preceded by its length in
four bytes. https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from rowsmith.serving.errors import Problem
from rowsmith.types import Array, JsonObject

TEXT = "BYTES"
BRAIN = "BF16"
"""The upper half of an FP32; NumPy has no such type."""
DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
DATATYPES = (*DTYPES, BRAIN, TEXT)
BINARY_SIZE = "binary_data_size"
BINARY_TYPE = "application/octet-stream"
JSON_LENGTH = "Inference-Header-Content-Length"
MOST_NAME = 100


@dataclass(frozen=True, slots=True)
class Tensor:
    """`values` are flat, row-major; None stands for null."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]

    @property
    def rows(self) -> int:
        return self.shape[0]


def read_tensor(item: JsonObject, raw: bytes | None, place: str) -> Tensor:
    """One of `inputs`; `raw` is what it has of the bytes after the JSON. Raises Problem."""
    name, datatype, shape = item.get("name"), item.get("datatype"), item.get("shape")
    if not isinstance(name, str):
        raise _fault(place, "a tensor has a name")
    if datatype not in DATATYPES:
        raise _fault(f"{place}/datatype", f"{str(datatype)[:MOST_NAME]} is none of {', '.join(DATATYPES)}")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise _fault(f"{place}/shape", "a shape is an array of whole numbers")
    count = math.prod(shape)
    values = _of_bytes(raw, datatype, count, place) if raw is not None else _of_json(item.get("data"), datatype, place)
    if len(values) != count:
        raise _fault(place, f"the shape {shape} asks for {count} values, but there are {len(values)}")
    return Tensor(name, datatype, tuple(shape), values)


def size_in_bytes(item: JsonObject) -> int | None:
    """How many of the bytes after the JSON belong to a tensor; None where its values stand in the JSON."""
    parameters = item.get("parameters")
    size = parameters.get(BINARY_SIZE) if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0):
        raise Problem("invalid-request", f"{BINARY_SIZE} is a number of bytes")
    return size


def _of_json(data: Any, datatype: str, place: str) -> list[Any]:
    flat = _flat(data)
    if flat is None:
        raise _fault(f"{place}/data", "a tensor has its values in data, or as bytes after the JSON")
    allowed = (str,) if datatype == TEXT else (bool,) if datatype == "BOOL" else (int, float)
    for value in flat:
        if value is not None and (not isinstance(value, allowed) or (datatype != "BOOL" and isinstance(value, bool))):
            raise _fault(f"{place}/data", f"{str(value)[:MOST_NAME]} is not a value of type {datatype}")
    if "INT" in datatype:
        bounds = np.iinfo(DTYPES[datatype])
        if any(value is not None and not bounds.min <= value <= bounds.max for value in flat):
            raise _fault(f"{place}/data", f"a value is out of the range of {datatype}")
    return flat


def _flat(data: Any) -> list[Any] | None:
    """Nested arrays as one; the protocol takes both."""
    if not isinstance(data, list):
        return None
    while data and all(isinstance(item, list) for item in data):
        data = list(chain.from_iterable(data))
    return None if any(isinstance(item, list | dict) for item in data) else data


def _of_bytes(raw: bytes, datatype: str, count: int, place: str) -> Sequence[Any]:
    if datatype == TEXT:
        return _texts(raw, count, place)
    kind = np.dtype("<u2" if datatype == BRAIN else DTYPES[datatype])
    if len(raw) != count * kind.itemsize:
        raise _fault(place, f"{count} values of type {datatype} are {count * kind.itemsize} bytes, not {len(raw)}")
    values: Array = np.frombuffer(raw, dtype=kind)
    if datatype == BRAIN:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    found: list[Any] = values.tolist()
    return found


def _texts(raw: bytes, count: int, place: str) -> list[str]:
    texts: list[str] = []
    position = 0
    try:
        while position < len(raw) and len(texts) <= count:
            (length,) = struct.unpack_from("<I", raw, position)
            text = raw[position + 4 : position + 4 + length]
            if len(text) < length:
                raise _fault(place, "the bytes end in the middle of a text")
            texts.append(text.decode())
            position += 4 + length
    except struct.error as problem:
        raise _fault(place, "the bytes end in the middle of a length") from problem
    except UnicodeDecodeError as problem:
        raise _fault(place, "a text is not UTF-8") from problem
    return texts


def write_tensor(column: pl.Series, *, binary: bool) -> tuple[JsonObject, bytes]:
    """One of `outputs`, and its bytes where they follow the JSON."""
    is_text = column.dtype == pl.String
    document: JsonObject = {
        "name": column.name,
        "datatype": TEXT if is_text else "FP64",
        "shape": [len(column)],
    }
    if not binary:
        return document | {"data": column.to_list()}, b""
    if is_text:
        texts = [text.encode() for text in column.to_list()]
        raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    else:
        raw = column.to_numpy().astype("<f8").tobytes()
    return document | {"parameters": {BINARY_SIZE: len(raw)}}, raw


def _fault(place: str, detail: str) -> Problem:
    return Problem("invalid-request", detail, errors=[{"code": "wrong_shape", "pointer": place, "detail": detail}])

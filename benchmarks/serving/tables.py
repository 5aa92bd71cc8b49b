"""The table that servers are asked about, and its rows in the forms that they are sent in."""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl

ROWS_AT_ONCE = 1000
BODIES = 200


def table_of(options: argparse.Namespace, folder: Path) -> Path:
    if options.data:
        return Path(options.data).resolve()
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    columns = {str(name).replace(" ", "_"): data.data[name].to_numpy() for name in data.data}
    labels = [str(data.target_names[code]) for code in data.target]
    path = folder / "table.parquet"
    pl.DataFrame({**columns, "diagnosis": labels}).write_parquet(path)
    options.target = "diagnosis"
    return path


@dataclass(frozen=True)
class Bodies:
    """Rows of the table in the forms that they are sent in."""

    one: list[bytes]
    many: list[bytes]
    arrow: list[bytes]
    split: list[bytes]
    bento: list[bytes]


def bodies_of(table: pl.DataFrame, target: str) -> Bodies:
    rows = table.drop(target).sample(min(table.height, 20_000), shuffle=True, seed=0)
    single = [rows.row(i % rows.height, named=True) for i in range(BODIES)]
    parts = [pl.concat([rows] * (ROWS_AT_ONCE // rows.height + 1)).sample(ROWS_AT_ONCE, seed=i) for i in range(5)]
    return Bodies(
        one=[orjson.dumps({"row": row}) for row in single],
        many=[orjson.dumps({"rows": part.to_dicts()}) for part in parts],
        arrow=[_stream(part) for part in parts],
        split=[
            orjson.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}) for row in single
        ],
        bento=[orjson.dumps({"rows": [row]}) for row in single],
    )


def _stream(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_ipc_stream(sink, compat_level=pl.CompatLevel.oldest())
    return sink.getvalue()

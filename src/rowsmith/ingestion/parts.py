"""Parts: the Parquet files that the rows of a snapshot lie in, each named by the hash of its bytes.

Most are packed here. A file that held its rows already, with the very columns and types of the snapshot, stays as it
came: nothing is decoded but what is looked at, and what it says about its values is not believed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rowsmith.storage.files import sha256_of_file

COMPRESSION_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file: the hash of its bytes, which is its name, how many rows it holds, and how many bytes it is.

    `as_it_came` is whether somebody else packed it.
    """

    sha256: str
    rows: int
    bytes: int
    as_it_came: bool = False


def scan_parts(paths: Sequence[Path], *, may_skip: bool = True) -> pl.LazyFrame:
    """The rows of parts in order, not read yet. `may_skip` has a filter leave out groups of rows unread, by the least
    and greatest values that the files name."""
    return pl.scan_parquet(list(paths), glob=False, hive_partitioning=False, use_statistics=may_skip)


def read_part(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


def write_part(folder: Path, frame: pl.DataFrame) -> Part:
    """Write rows into `folder` under the hash of the file, which is on the disk when this returns."""
    path = folder / "part"
    pack(frame, path)
    return named(path, frame.height)


def pack(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd", compression_level=COMPRESSION_LEVEL)


def take(original: Path, path: Path) -> None:
    """Move a temporary file of ours, which only we may read, to where others may read it."""
    path.touch()
    os.chmod(original, path.stat().st_mode)
    try:
        os.replace(original, path)
    except OSError:  # on another disk; on Windows also while it is open
        shutil.copyfile(original, path)


def named(path: Path, rows: int, *, as_it_came: bool = False) -> Part:
    """The file, once it is on the disk, under the hash of its bytes."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    part = Part(sha256_of_file(path), rows, path.stat().st_size, as_it_came)
    os.replace(path, path.with_name(f"{part.sha256}.parquet"))
    return part

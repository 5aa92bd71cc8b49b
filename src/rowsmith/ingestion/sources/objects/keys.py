"""Keys: which objects an address means, and what the folders in their names say of their rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import polars as pl

GLOB_CHARACTERS = re.compile(r"[*?\[]")
PARTITION = re.compile(r"([^/=]+)=([^/]*)")
NOTHING = "__HIVE_DEFAULT_PARTITION__"
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")


@dataclass(frozen=True)
class Place:
    """An address in parts: s3://bucket/key. `key` is unquoted by nobody: names hold what they hold."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def of(cls, address: str) -> Place:
        scheme, _, rest = address.partition("://")
        bucket, _, key = rest.partition("/")
        return cls(scheme.lower(), bucket, key)

    @property
    def is_glob(self) -> bool:
        return GLOB_CHARACTERS.search(self.key) is not None

    @property
    def folder(self) -> str:
        """The last folder before anything that varies."""
        fixed = GLOB_CHARACTERS.split(self.key, maxsplit=1)[0] if self.is_glob else self.key
        return fixed.rpartition("/")[0]

    def matches(self, key: str) -> bool:
        """Whether a glob means an object: * within a folder, ** through folders."""
        return _pattern(self.key).fullmatch(key) is not None

    def shown(self, key: str) -> str:
        return f"{self.scheme}://{self.bucket}/{key}"


def is_table(key: str) -> bool:
    """Hidden objects and those like _SUCCESS are none, nor are the empty ones that stand for folders."""
    return not key.endswith("/") and not any(part.startswith((".", "_")) for part in key.split("/")[-1:])


def partitions(keys: Sequence[str], folder: str) -> list[dict[str, int | str | None]]:
    """What `name=value` folders say of the rows below them, as whole numbers where all of a name are."""
    found = [_partitions_of(key.removeprefix(folder)) for key in keys]
    whole = {
        name
        for name in found[0]
        if all(WHOLE.fullmatch(values[name] or "0") for values in found if name in values)
    }  # fmt: skip
    return [
        {name: int(value) if name in whole and value is not None else value for name, value in values.items()}
        for values in found
    ]


def partition_type(value: int | str | None) -> pl.DataType:
    return pl.Int64() if isinstance(value, int) else pl.Null() if value is None else pl.String()


def _partitions_of(key: str) -> Mapping[str, str | None]:
    pairs = [PARTITION.fullmatch(part) for part in key.split("/")[:-1]]
    values = {pair[1]: unquote(pair[2]) for pair in pairs if pair}
    return {name: None if value in (NOTHING, "") else value for name, value in values.items()}


def _pattern(glob: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]]+\])", glob)
    return re.compile("".join(_translated(part) for part in parts), re.DOTALL)


def _translated(part: str) -> str:
    if part.startswith("**"):
        return r"(?:.*/)?" if part.endswith("/") else ".*"
    if part in ("*", "?"):
        return "[^/]*" if part == "*" else "[^/]"
    if part.startswith("[") and part.endswith("]"):
        inside = part[1:-1].replace("\\", "\\\\")
        return f"[{'^' + inside[1:] if inside[0] == '!' else inside}]"
    return re.escape(part)

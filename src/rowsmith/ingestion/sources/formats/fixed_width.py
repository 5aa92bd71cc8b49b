"""Text of fixed width: each column has its place in the line, as `fixed_width` under [data] says."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import IO

from rowsmith.errors import RecipeError
from rowsmith.ingestion.sources.formats.delimited import Delimited
from rowsmith.ingestion.sources.formats.text import as_utf8
from rowsmith.ingestion.sources.local_file import LocalFile, rewritten
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection

NEXT_STEP = "say where each column is: fixed_width = {id = [1, 5], name = [6, 25]} under [data], counted from 1"


class FixedWidth:
    """Cut into values here, and then read as CSV is: types, blanks and missing values are the same."""

    name = "fixed-width"
    title = "fixed-width text"
    extensions = (".fwf", ".prn")
    is_text = True

    def recognises(self, head: bytes) -> bool:
        """Nothing in a text says where its columns are."""
        return False

    def open(self, file: LocalFile, options: DataSection) -> Table:
        if not options.fixed_width:
            raise RecipeError("nobody says where the columns of this file are", where=file.name, next_step=NEXT_STEP)
        text, _ = as_utf8(file, options.encoding)
        places = _places(options.fixed_width)
        has_header = options.header is True
        cut = rewritten(text, lambda target: _cut(text, places, target, has_header), extension=".csv")
        as_csv = {"separator": ",", "quote": '"', "encoding": "utf-8", "header": True}
        return Delimited().open(cut, options.model_copy(update=as_csv))


def _places(columns: Mapping[str, tuple[int, int]]) -> dict[str, slice]:
    """Raises RecipeError for places that do not exist."""
    for name, (first, last) in columns.items():
        if first < 1 or last < first:
            raise RecipeError(
                f'the column "{name}" has no place', where="data.fixed_width", received=f"[{first}, {last}]",
                allowed="the first and the last character, counted from 1",
            )  # fmt: skip
    return {name: slice(first - 1, last) for name, (first, last) in columns.items()}


def _cut(text: LocalFile, places: Mapping[str, slice], target: IO[bytes], has_header: bool) -> None:
    out = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(places)
    with text.open() as content:
        lines = io.TextIOWrapper(content, encoding="utf-8")
        for number, line in enumerate(lines):
            if line.strip() and not (has_header and number == 0):
                bare = line.rstrip("\n\r")
                writer.writerow([bare[place].strip() for place in places.values()])
        lines.detach()
    out.detach()

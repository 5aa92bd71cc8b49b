"""A table of HTML as a grid of texts: spans are unfolded, headings joined, footers and repeated headings left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from selectolax.lexbor import LexborNode

from rowsmith.conform import parse_number
from rowsmith.conform.plain import STRING
from rowsmith.ingestion.sources.formats.names import settle_names
from rowsmith.ingestion.spellings import Spellings
from rowsmith.ingestion.text_numbers import are_whole, are_written_as_codes, find_numbers

MAX_SPAN = 1_000
LARGEST_WHOLE = 2**53
FOOTNOTE = re.compile(r"\s*\[(?:\d{1,3}|[a-z]|note \d+)\]", re.IGNORECASE)
HIDDEN_PARTS = "style, script, noscript, template, sup.reference"


@dataclass(frozen=True)
class Grid:
    """`rows` are as wide as `names`; an empty cell is an empty text."""

    caption: str
    names: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class _Cell:
    text: str
    is_heading: bool
    columns: int
    rows: int


def read_table(table: LexborNode) -> Grid | None:
    """None for what has no rows. Rows of <tfoot> are totals and notes, and are left out."""
    sections = _sections(table)
    heads = [row for kind, row in sections if kind == "thead"]
    # One cell across the whole table is a heading in its middle.
    body = [row for kind, row in sections if kind == "tbody" and (len(row) > 1 or row[0].columns == 1)]
    if not heads:
        # Without <thead>, headings are the first rows that hold nothing else.
        while body and all(cell.is_heading for cell in body[0]):
            heads.append(body.pop(0))
        if not heads and body:
            heads.append(body.pop(0))
    grid_of_heads, grid = _unfolded(heads), _unfolded(body)
    width = max((len(row) for row in [*grid_of_heads, *grid]), default=0)
    if not width or not grid:
        return None
    names = _names(_padded(grid_of_heads, width), width)
    rows = [row for row in _padded(grid, width) if any(row) and row != names]
    caption = table.css_first("caption")
    return Grid(_text(caption) if caption is not None else _heading_before(table), names, rows) if rows else None


def typed(names: Sequence[str], rows: Sequence[Sequence[str]], *, where: str) -> pl.DataFrame:
    """Columns in the types that their texts are: "1,234", "$5", "12 %" and "—" are numbers and nothing."""
    settled = settle_names(names, where=where)
    columns = zip(*rows, strict=True) if rows else ([] for _ in settled)
    return pl.DataFrame([_typed(name, list(texts)) for name, texts in zip(settled, columns, strict=True)])


def _typed(name: str, texts: list[str]) -> pl.Series:
    series = pl.Series(name, [_cleaned(text) for text in texts], dtype=STRING)
    spellings = Spellings.of(series)
    # Everything on a page is text, so that digits are no sign of a code.
    parsing = None if are_written_as_codes(spellings) else find_numbers(spellings, even_codes=True)
    if parsing is None:
        return series
    numbers = [None if text is None else parse_number(text, parsing) for text in series]
    if are_whole(spellings, parsing) and all(n is None or abs(n) < LARGEST_WHOLE for n in numbers):
        return pl.Series(name, [None if n is None else int(n) for n in numbers], dtype=pl.Int64)
    return pl.Series(name, numbers, dtype=pl.Float64)


def _cleaned(text: str) -> str | None:
    """Without footnote marks; minus signs of typographers become those of machines, dashes alone mean nothing."""
    text = FOOTNOTE.sub("", text).replace("\u2212", "-").strip()
    return None if text in ("", "-", "\u2013", "\u2014", "\u2026") else text


def _sections(table: LexborNode) -> list[tuple[str, list[_Cell]]]:
    """Rows of this table with the section they are in; those of tables inside its cells are not its own."""
    found = []
    for part in table.iter():
        if part.tag == "tr":
            found.append(("tbody", _cells(part)))
        elif part.tag in ("thead", "tbody"):
            found += [(part.tag, _cells(row)) for row in part.iter() if row.tag == "tr"]
    return [(kind, cells) for kind, cells in found if cells]


def _cells(row: LexborNode) -> list[_Cell]:
    return [
        _Cell(_text(cell), cell.tag == "th", _span(cell, "colspan"), _span(cell, "rowspan"))
        for cell in row.iter()
        if cell.tag in ("td", "th")
    ]


def _span(cell: LexborNode, name: str) -> int:
    text = (cell.attributes.get(name) or "1").strip()
    return min(max(int(text), 1), MAX_SPAN) if text.isdigit() else 1


def _unfolded(rows: Sequence[Sequence[_Cell]]) -> list[list[str]]:
    """A cell that spans several columns or rows stands in each of them."""
    grid: list[list[str]] = []
    pending: dict[int, tuple[str, int]] = {}
    for cells in rows:
        line: list[str] = []
        waiting = list(cells)
        while waiting or len(line) in pending:
            place = len(line)
            if place in pending:
                text, left = pending.pop(place)
                line.append(text)
                if left > 1:
                    pending[place] = (text, left - 1)
                continue
            cell = waiting.pop(0)
            for _ in range(cell.columns):
                if cell.rows > 1:
                    pending[len(line)] = (cell.text, cell.rows - 1)
                line.append(cell.text)
        grid.append(line)
    return grid


def _padded(grid: list[list[str]], width: int) -> list[list[str]]:
    return [[*row, *[""] * (width - len(row))] for row in grid]


def _names(heads: list[list[str]], width: int) -> list[str]:
    """Headings of several lines are joined; equal ones are numbered, since a page means both."""
    names = []
    for place in range(width):
        parts = list(dict.fromkeys(row[place] for row in heads if row[place]))
        names.append(FOOTNOTE.sub("", " ".join(parts)).strip())
    counts: dict[str, int] = {}
    for place, name in enumerate(names):
        counts[name] = counts.get(name, 0) + 1
        if name and counts[name] > 1:
            names[place] = f"{name} {counts[name]}"
    return names


def _heading_before(table: LexborNode) -> str:
    """The nearest heading before a table without a caption."""
    node: LexborNode | None = table
    for _ in range(12):
        previous = node.prev if node is not None else None
        node = previous if previous is not None else (node.parent if node is not None else None)
        if node is not None and node.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            return _text(node)
    return ""


def _text(node: LexborNode) -> str:
    return " ".join(_visible(node).split())


def _visible(node: LexborNode) -> str:
    for part in node.css(HIDDEN_PARTS):
        part.decompose()
    return str(node.text(separator=" "))

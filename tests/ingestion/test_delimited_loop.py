"""The compiled loop over records says what its twin in NumPy says, or nothing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources.formats import delimited_records
from rowsmith.ingestion.sources.formats.delimited_dialect import Dialect
from rowsmith.ingestion.sources.formats.delimited_records import Records, no_check

whole_records = pytest.importorskip("rowsmith.ingestion.sources.formats._records").whole_records
Found = tuple[int, int, int, bool, frozenset[int]]
PLAIN = ("", "7", "0", "-7", "0.5", "-0.5", "1234567890", "a word of more than sixty-four bytes. " * 3, "é", "-", "7-0")
ODD = ("007", "-00", " 7", "+7", "\t7", "00")
QUOTED = ('"7"', '"0,1"', '"a\nb"', '"say ""so"""', '""', '"007"', '"' + "x" * 1100 + '"')


@st.composite
def records(draw: st.DrawFn) -> tuple[str, int]:
    """Records and how many fields they have, all but one perhaps; for long stretches without odd values and quotes."""
    width = draw(st.integers(2, 9))
    usual = draw(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=3))
    seldom = draw(st.lists(st.sampled_from((*ODD, *QUOTED)), max_size=3))
    share = draw(st.sampled_from((0.0, 0.005, 0.05, 1.0))) if seldom else 0.0
    random = draw(st.randoms(use_true_random=False))
    rows = [
        [random.choice(seldom if random.random() < share else usual) for _ in range(width)]
        for _ in range(draw(st.integers(1, 60)))
    ]
    if draw(st.integers(0, 4)) == 0:
        row = random.choice(rows)
        row[:] = random.choice(([*row, "9"], row[:-1], [*row, "1", "2"], ['a"b', *row[1:]], ['"a"b', *row[1:]]))
    ending = draw(st.sampled_from(("\n", "\r\n")))
    return "".join(",".join(row) + ending for row in rows), width


def by_numpy(data: bytes, width: int) -> Found | None:
    """None where a record is broken, blank, or has quotes astray."""
    names = [f"c{place}" for place in range(width)]
    cutter = delimited_records._Cutter("x", Dialect(",", '"', False, tuple(names)), names, io.BytesIO(), no_check)
    try:
        found, used = cutter._cut_by_numpy(data, at_end=False)
    except (SourceError, delimited_records._QuotesAstray):
        return None
    if not isinstance(found, Records) or found.data != data[:used]:
        return None
    return used, cutter.rows, cutter.lines, found.quoted, found.odd


@settings(max_examples=200, deadline=None)
@given(records(), st.integers(0, 90))
def test_compiled_and_twin_say_the_same(table: tuple[str, int], cut_off: int) -> None:
    text, width = table
    data = text.encode()
    data = data[: max(len(data) - cut_off, 0)]
    compiled = whole_records(data, ord(","), ord('"'), width)
    twin = by_numpy(data[: data.rfind(b"\n") + 1], width)
    if compiled is None:
        # What comes after the last whole record may be broken.
        assert twin is None or twin[0] < len(data)
        return
    if not compiled[0]:
        assert b"\n" not in data or '"' in text
        return
    used, rows, lines, has_quotes, odd = compiled
    assert twin is not None
    assert (used, rows, lines) == twin[:3]
    places = frozenset(place for place, is_odd in enumerate(odd) if is_odd)
    # What comes after the last whole record was looked at, too.
    assert bool(has_quotes) >= twin[3] and places >= twin[4]
    if used == len(data):
        assert (bool(has_quotes), places) == twin[3:]

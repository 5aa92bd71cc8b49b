"""Conforming: values of any table or row brought to the schema's own types, or refused with every fault listed.

A conforming frame has exactly the schema's feature columns in order: number and integer as Float64, boolean as
Boolean, category and text as String, datetime as Datetime("us"), naive and in UTC. Missing is null, never NaN; an
infinite number is a number. A conforming row holds the same as float, bool, str, datetime or None. Text is read by one
Python function for both (see `parsing`), so the two agree to the last bit.
"""

from rowsmith.conform.columns import ConformingColumns
from rowsmith.conform.conformer import Conformer, ConformingFrame, ConformingRow
from rowsmith.conform.parsing import canonical_text, parse_boolean, parse_datetime, parse_number
from rowsmith.conform.rows import frame_of_rows
from rowsmith.conform.target import encode_target

__all__ = [
    "Conformer",
    "ConformingColumns",
    "ConformingFrame",
    "ConformingRow",
    "canonical_text",
    "encode_target",
    "frame_of_rows",
    "parse_boolean",
    "parse_datetime",
    "parse_number",
]

"""CSV that is safe to open in a spreadsheet: text that would run as a formula is made plain text.

A cell that starts with =, +, -, @, a tab or a carriage return gets an apostrophe in front (OWASP, CSV injection).
Numbers are left alone. The Parquet file holds every value unchanged.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def write_safe_csv(source: Path, target: Path) -> None:
    """A Parquet file as CSV, in bounded memory; `target` appears in one step."""
    table = pl.scan_parquet(source)
    types = table.collect_schema()
    texts = [name for name, dtype in types.items() if dtype == pl.String]
    temporary = target.with_suffix(".part")
    safe = table.with_columns(safe_text(pl.col(name)) for name in texts)
    safe.rename({name: _safe_name(name) for name in types}).sink_csv(temporary)
    temporary.replace(target)


def safe_text(text: pl.Expr) -> pl.Expr:
    runs = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
    return pl.when(runs).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).name.keep()


def _safe_name(name: str) -> str:
    return f"'{name}" if name[:1] in "=+-@\t\r" and name else name

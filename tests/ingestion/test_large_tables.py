"""Tables of which only a sample is held: what is said of them is what is said of a table that is held as a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rowsmith.errors import RecipeError, SchemaError
from rowsmith.ingestion.checks import run_checks
from rowsmith.ingestion.hashes import Hashes, Sketch, apart, hashes_of
from rowsmith.ingestion.infer import infer_schema
from rowsmith.ingestion.profile import difference, profile
from rowsmith.ingestion.table import Held, Holding, Table, chosen_rows
from rowsmith.ingestion.whole_facts import infer_table
from rowsmith.recipe import Recipe
from rowsmith.schema import Schema
from rowsmith.types import Finding, JsonObject
from rowsmith.workflows.project import open_project
from tests.ingestion.tables import recipe

ROWS = 9_000
HELD_ROWS = 2_000
MOMENTS = ("mean", "deviation")


@cache
def table() -> pl.DataFrame:
    """Something of everything, and the rarest of it in a handful of rows."""
    random = np.random.default_rng(7)
    n = np.arange(ROWS)
    amount = random.normal(100, 30, ROWS).round(4)
    frame = pl.DataFrame(
        {
            "no": n + 1,
            "customer_id": n // 12,
            "amount": amount,
            "age": np.where(random.random(ROWS) < 0.02, -999, random.integers(18, 90, ROWS)),
            "whole": [None if i == 7_003 else float(i % 50) for i in n],
            "price": ["tbd" if i == 8_001 else f"${v:.2f}" for i, v in zip(n, amount, strict=True)],
            "mixed": ["12a" if i == 4_444 else str(v) for i, v in zip(n, random.integers(0, 5000, ROWS), strict=True)],
            "town": ["oslo" if i in (5, 5_999) else ["Oslo", "Rome", "Lyon"][i % 3] for i in n],
            "day": (np.datetime64("2020-01-01") + n // 24).astype("datetime64[us]"),
            "far": ["0203-05-01" if i == 33 else f"20{i % 20 + 10}-{i % 12 + 1:02d}-03" for i in n],
            "rarely": ["b" if i in (2, 9) else "a" for i in n],
            "same": "x",
            "late": np.where(n < 2000, np.nan, random.normal(size=ROWS)),
            "late_too": [None if i < 2000 else i % 7 for i in n],
            "name": [f"M\u00c3\u00bcller {i % 31}" if i == 3_345 else f"Miller {i % 31}" for i in n],
            "note": [f"the {i % 2900}th of many a word that somebody wrote" for i in n],
            "left": ["rare" if i in (3, 2_777, 8_000) else ["no", "yes"][int(i * 7919 % 97 < 40)] for i in n],
        }
    )
    again = [frame[5_100:5_160], frame[5_200:5_260].with_columns(no=pl.int_range(60) + 90_000)]
    return pl.concat([frame, *again]).with_columns(code_id=pl.format("K{}X", pl.col("no")))


def batched(frame: pl.DataFrame, size: int = 3_001) -> Table:
    return Table(frame.height, lambda: frame.iter_slices(size))


def looked_at(
    frame: pl.DataFrame, chosen: Recipe, written: Schema | None = None, rows: int = HELD_ROWS
) -> tuple[Schema, Held]:
    holding = Holding(0, held_bytes=50_000 + 100 * rows, sample_rows=rows)
    return infer_table(batched(frame), chosen, written, holding=holding)


def without_typical(schema: Schema) -> JsonObject:
    return replace(schema, columns=tuple(replace(column, typical=None) for column in schema)).to_dict()


@pytest.mark.parametrize("target", ["left", "amount", None])
def test_the_schema_is_that_of_all_rows(target: str | None) -> None:
    chosen = recipe(target)
    whole = infer_schema(table(), chosen)
    schema, held = looked_at(table(), chosen)
    assert not held.is_whole and HELD_ROWS / 3 < held.frame.height < 1.5 * HELD_ROWS
    assert without_typical(schema) == without_typical(whole)
    assert schema["price"].parsing.nulls == ("tbd",) and schema["mixed"].kind == "category"
    assert schema["customer_id"].kind == "integer" and schema["no"].kind == schema["code_id"].kind == "identifier"


@pytest.mark.parametrize("target", ["left", "amount"])
def test_the_findings_are_those_of_all_rows(target: str) -> None:
    chosen = recipe(target)
    schema, held = looked_at(table(), chosen)
    whole = run_checks(table(), schema, chosen)
    seen = run_checks(held.frame, schema, chosen, table=batched(table()))
    assert [told(finding) for finding in seen] == [told(finding) for finding in whole]
    assert {finding.code for finding in whole} >= {
        "sentinel_values", "category_spellings", "missing_patterns", "row_order", "odd_dates", "duplicate_rows",
        "near_duplicates", "nearly_constant", "constant_columns", "identifier", "broken_encoding",
    }  # fmt: skip


def told(finding: Finding) -> Any:
    """Without what says that it was seen in a sample."""
    evidence = {key: value for key, value in finding.evidence.items() if key != "sampled_rows"}
    if "sampled_rows" in finding.evidence:
        assert "rows)" in finding.message
    scores = {name: round(score, 3) for name, score in evidence.pop("score", {}).items()}
    return finding.code, finding.columns, evidence, scores, round(evidence.pop("likeness", 0), 2)


def test_what_a_person_wrote_down_holds_for_rows_that_are_not_held() -> None:
    chosen = recipe("left")
    schema, _ = looked_at(table(), chosen)
    again, _ = looked_at(table(), chosen, schema)
    assert without_typical(again) == without_typical(schema)
    strict = recipe("left", columns={"kinds": {"mixed": "integer"}})
    with pytest.raises(SchemaError, match="12a") as caught:
        looked_at(table(), strict)
    assert caught.value.faults[0].row == 4_444
    with pytest.raises(RecipeError, match="below 0"):
        weighted = pl.DataFrame({"w": [*np.ones(9_000), -1.0], "x": np.arange(9_001) % 7, "y": np.arange(9_001) % 2})
        looked_at(weighted, recipe("y", columns={"weight": "w"}), rows=100)


def test_a_label_in_one_row_of_many() -> None:
    frame = pl.DataFrame({"x": np.arange(40_000) % 1000, "y": ["a"] * 39_999 + ["b"]})
    schema, held = looked_at(frame, recipe("y"), rows=500)
    assert schema.labels == ("a", "b") and held.positions is not None and held.positions[-1] == 39_999


def test_a_profile_and_a_difference_are_those_of_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_project(tmp_path).snapshots
    names = ["no", "amount", "town", "day", "late"]
    before = store.add([table().select(names)], source="x")
    after = store.add([table().select(names)[300:], table().select(names)[:20]], source="x")
    whole, apart_whole = profile(store, before), difference(store, before, after)
    monkeypatch.setattr("rowsmith.ingestion.table.HELD_BYTES", 60_000)
    monkeypatch.setattr("rowsmith.ingestion.table.BATCH_ROWS", 1_000)
    monkeypatch.setattr("rowsmith.ingestion.hashes.HELD", 500)
    for one, other in zip(profile(store, before), whole, strict=True):
        assert ("deciles" not in one) or (one.pop("sampled_rows") < 4_000 and len(one.pop("deciles")) == 9)
        assert [one.pop(key, None) for key in MOMENTS] == pytest.approx([other.pop(key, None) for key in MOMENTS])
        assert one == {key: value for key, value in other.items() if key != "deciles"}
    told = difference(store, before, after)
    assert told["rows"] == apart_whole["rows"] and told["rows"]["gone"] == 280
    for one, other in zip(told["columns"], apart_whole["columns"], strict=True):
        assert one["missing"] == other["missing"] and one.get("mean") == pytest.approx(other.get("mean"))
        assert one["stability"] == pytest.approx(other["stability"], abs=0.1) and max(one["sampled_rows"]) < 4_000


# -- in a process that may not grow ---------------------------------------------------------------------------------

WATCHED = """
import json, sys
import numpy as np, polars as pl
from rowsmith.ingestion import hashes, snapshot, table
from rowsmith.workflows.data import show_data
from rowsmith.workflows.ingest import examine
from rowsmith.workflows.project import open_project
snapshot.PART_BYTES, table.BATCH_ROWS, hashes.HELD = 1 << 20, 1 << 14, 1 << 14
table.HELD_BYTES, table.SAMPLE_ROWS = int(sys.argv[2]), 4_000

def batches(rows):
    for start in range(0, rows, 20_000):
        n = np.arange(start, start + 20_000)
        yield pl.DataFrame({
            "no": n, "a": np.sin(n), "b": n * 0.5, "c": n % 1000, "d": n % 7 / 3, "e": n // 50, "f": np.cos(n),
            "g": n ** 2 % 99991, "name": pl.Series(n).cast(pl.String), "left": np.where(n % 3 == 0, "yes", "no"),
        })

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

def work(folder, rows):
    opened = open_project(folder)
    expect = {"unique": ["no"], "min_rows": rows}
    opened = opened.with_recipe(opened.recipe.changed(target={"column": "left"}, expect=expect))
    found = examine(opened, opened.snapshots.add(batches(rows), source="made"))
    return len(show_data(opened, None)["profile"]), len(found.findings)

work(sys.argv[1] + "/small", 40_000)
before = peak()
done = work(sys.argv[1] + "/large", 300_000)
print(json.dumps([peak() - before, *done]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak of memory from /proc")
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    for name in ("small", "large"):
        (tmp_path / name).mkdir()
    script = tmp_path / "watched.py"
    script.write_text(WATCHED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script, tmp_path, str(1 << 20)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    grown, columns, findings = json.loads(done.stdout)
    assert columns == 10 and findings
    assert grown < 22, "the table takes 28 MB, and grows the process by 127 when it is held"


# -- what they are made of -----------------------------------------------------------------------------------------


def test_a_sample_does_not_depend_on_the_batches() -> None:
    frame = table()
    samples = [chosen_rows(batched(frame, size), 5_000, seed=3) for size in (100, 7_777, ROWS * 2)]
    assert all(sample.equals(samples[0]) for sample in samples) and 4_700 < samples[0].height < 5_300
    assert samples[0]["no"].is_between(0, ROWS // 2).mean() == pytest.approx(0.5, abs=0.03)
    assert not chosen_rows(batched(frame), 5_000, seed=4).equals(samples[0])
    assert chosen_rows(batched(frame), ROWS * 2, seed=3).equals(frame)


@pytest.mark.parametrize("held", [10, 1 << 20])
def test_hashes_are_counted_in_memory_and_in_a_file_alike(held: int) -> None:
    values = np.random.default_rng(0).integers(0, 700, 1_000)
    hashes = Hashes(held=held)
    for batch in pieces(values):
        hashes.add(hashes_of(batch))
    assert (hashes.total, hashes.repeats) == (1_000, 1_000 - len(np.unique(values)))
    different, counts = np.unique(values, return_counts=True)
    repeated = hashes_of(pl.DataFrame({"v": different[counts > 1]}))
    assert np.array_equal(hashes.repeated(), np.sort(repeated))
    other = Hashes(held=held)
    other.add(hashes_of(pl.DataFrame({"v": [*values[:900], 5_000, 5_000]})))
    assert apart(hashes, other) == (100, 2)


def pieces(values: Any) -> Iterator[pl.DataFrame]:
    yield from pl.DataFrame({"v": values}).iter_slices(97)


@pytest.mark.parametrize(("rows", "different"), [(1_000, 1_000), (1_000, 30), (600_000, 600_000), (600_000, 200_000)])
def test_a_sketch_knows_how_many_are_different(rows: int, different: int) -> None:
    sketch = Sketch()
    for batch in pl.DataFrame({"v": np.arange(rows) % different}).iter_slices(50_000):
        sketch.add(hashes_of(batch))
    assert sketch.is_exact == (different < 65_536)
    assert sketch.different == pytest.approx(different, rel=0 if sketch.is_exact else 0.02)
    assert sketch.uniqueness == pytest.approx(different / rows, rel=0.02)

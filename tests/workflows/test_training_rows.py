"""Training on as many rows of a large snapshot as fit into memory, and saying so."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import polars as pl
import pytest

from rowsmith.ingestion import table
from rowsmith.ingestion.table import Table
from rowsmith.recipe import Recipe
from rowsmith.training import memory
from rowsmith.training.memory import available_mb, rows_that_fit
from rowsmith.workflows.ingest import examine
from rowsmith.workflows.project import open_project
from rowsmith.workflows.run import run
from rowsmith.workflows.training_rows import rows_of, training_rows
from rowsmith.workflows.verify import verify
from tests.workflows.conftest import loans

RECIPE = Recipe.from_dict(
    {
        "target": {"column": "default"},
        "split": {"folds": 3},
        "train": {"max_trials": 1, "families": ["linear"], "memory_mb": 256, "seed": 3},
    }
)


@pytest.fixture
def tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of a hundredth of the size: a table of 4,000 rows is larger than it."""
    monkeypatch.setattr(table, "HELD_BYTES", 64_000)
    monkeypatch.setattr(table, "BATCH_ROWS", 700)
    monkeypatch.setattr(memory, "COPIES", 100 * memory.COPIES)
    monkeypatch.setattr(memory, "LEAST_ROWS", 10)


def test_a_version_of_a_sample_says_so_and_is_rebuilt(tmp_path: Path, executor: Executor, tiny_memory: None) -> None:
    opened = open_project(tmp_path).with_recipe(RECIPE)
    outcome = run(opened, loans(4_000), executor=executor)
    sample = outcome.version.lineage["sample"]
    assert outcome.promoted, (sample, outcome.gates)
    assert sample["of"] == 4_000 and 500 < sample["rows"] < 2_000
    trained, tested = (outcome.version.lineage[key] for key in ("rows_trained", "rows_tested"))
    assert trained + tested == sample["rows"]
    finding = next(found for found in outcome.findings if found.code == "trained_on_sample")
    assert f"{sample['rows']:,} of 4,000 rows" in finding.message and "256 MB" in finding.message
    assert "Trained on a sample" in (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "Trained on a sample" in (outcome.folder / "card.md").read_text(encoding="utf-8")
    assert f"trained on {sample['rows']:,} of 4,000 rows" in opened.registry.ledger("model")[-1].reason
    assert rows_of(opened, outcome.version).height == sample["rows"]
    assert verify(opened).identical


def test_all_rows_where_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "HELD_BYTES", 64_000)
    opened = open_project(tmp_path).with_recipe(RECIPE)
    frame = loans(4_000)
    ingested = examine(opened, opened.snapshots.add(frame.iter_slices(900), source="made"))
    assert not ingested.held.is_whole
    rows = training_rows(ingested.table, ingested.held, RECIPE)
    assert rows.frame.equals(pl.concat(batch for _, batch in Table.of_frame(frame).batches()))
    assert rows.sample is None and not rows.findings


def test_what_fits() -> None:
    assert rows_that_fit(6_550, 100) == 10_000_000
    assert rows_that_fit(300, 100) == 50_000
    assert rows_that_fit(256, 1e9) == 1000
    free = available_mb()
    assert free is None or free > 10

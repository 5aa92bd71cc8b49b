"""A small table with every kind of column, and a project that trains on it within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rowsmith.recipe import Recipe
from rowsmith.workflows.project import Project, open_project

ROWS = 600


def loans(rows: int = ROWS, seed: int = 0, shift: float = 0.0) -> pl.DataFrame:
    """Made-up loans whose default depends on income, purpose and age; `shift` makes the incomes of others."""
    rng = np.random.default_rng(seed)
    income = np.round(rng.lognormal(10 + shift, 0.5, rows), 2)
    age = rng.integers(18, 80, rows)
    purpose = rng.choice(["car", "home", "school", "travel"], rows, p=[0.4, 0.3, 0.2, 0.1])
    opened = np.datetime64("2024-01-01") + rng.integers(0, 700, rows).astype("timedelta64[D]")
    risk = 1.5 * (purpose == "travel") - 1.2 * (np.log(income) - 10) - 0.02 * (age - 45)
    default = rng.random(rows) < 1 / (1 + np.exp(-risk))
    return pl.DataFrame(
        {
            "income": np.where(rng.random(rows) < 0.05, np.nan, income),
            "age": age,
            "purpose": purpose,
            "opened": [str(day) for day in opened],
            "default": np.where(default, "yes", "no"),
        }
    ).with_columns(pl.col("income").fill_nan(None))


@pytest.fixture
def table() -> pl.DataFrame:
    return loans()


@pytest.fixture
def executor() -> Iterator[Executor]:
    """Trials in this process, so that a test costs no start of others."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def project(tmp_path: Path, table: pl.DataFrame) -> Project:
    """A project whose recipe counts trials instead of seconds."""
    table.write_csv(tmp_path / "loans.csv")
    recipe = Recipe.from_dict(
        {
            "name": "loans",
            "data": {"source": "loans.csv"},
            "target": {"column": "default"},
            "split": {"folds": 3},
            "train": {"max_trials": 3},
        }
    )
    return open_project(tmp_path).with_recipe(recipe)

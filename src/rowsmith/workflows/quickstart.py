"""Quickstart: a real table, a trained and promoted model, ready to serve, in about half a minute."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import polars as pl

from rowsmith.recipe import RECIPE_FILE
from rowsmith.types import OnProgress, no_progress
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.run import Outcome, run

FOLDER = "rowsmith-quickstart"
DATA_FILE = "tumours.csv"
TARGET = "diagnosis"
SECONDS = 20.0
MEASUREMENTS = 10

RECIPE = f"""\
# Tells a malignant from a benign tumour by ten measurements of its cell nuclei.
# Data: Breast Cancer Wisconsin (Diagnostic), Street, Wolberg and Mangasarian 1993, as bundled with scikit-learn.
# Every choice is explained in docs/reference/recipe.md.
name = "tumours"

[data]
source = "{DATA_FILE}"

[target]
column = "{TARGET}"
positive = "malignant"

[train]
seconds = {SECONDS:g}
"""


def quickstart(
    parent: Path,
    *,
    seconds: float | None = None,
    store: str = ".rowsmith",
    database_url: str = "",
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
) -> tuple[Project, Outcome]:
    """Make the folder `rowsmith-quickstart`, put a table and a recipe into it, and run it.

    A folder of that name that is there already is used again, with whatever was changed in it.
    """
    folder = parent / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DATA_FILE).exists():
        tumour_table().write_csv(folder / DATA_FILE)
    if not (folder / RECIPE_FILE).exists():
        (folder / RECIPE_FILE).write_text(RECIPE, encoding="utf-8")
    project = open_project(folder, store=store, database_url=database_url)
    if seconds is not None:
        project = project.with_recipe(project.recipe.changed(train={"seconds": seconds}))
    return project, run(project, actor="rowsmith quickstart", executor=executor, on_progress=on_progress)


def tumour_table() -> pl.DataFrame:
    """569 tumours: the mean of ten measurements of their cell nuclei, and the diagnosis."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    columns = {
        str(name).removeprefix("mean ").replace(" ", "_"): bunch.data[:, i]
        for i, name in enumerate(bunch.feature_names[:MEASUREMENTS])
    }
    return pl.DataFrame(columns).with_columns(pl.Series(TARGET, bunch.target_names[bunch.target].tolist()))

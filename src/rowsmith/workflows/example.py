"""The example table: real rows that come with scikit-learn, so that trying things out needs no download."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from rowsmith.storage.files import write_atomically

TARGET = "diagnosis"


def write_example(path: Path) -> Path:
    """Write the Breast Cancer Wisconsin (Diagnostic) table as CSV: 569 rows, 30 numbers, `diagnosis`.

    Street, Wolberg, Mangasarian (1993), doi:10.1117/12.148698. Raises StorageError.
    """
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(name.replace(" ", "_") for name in bunch.feature_names), TARGET])
    for numbers, code in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True):
        writer.writerow([*numbers, bunch.target_names[code]])
    write_atomically(path, text.getvalue())
    return path

"""What lies in a version's folder beside the model, read once: it never changes."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from rowsmith.types import JsonObject

# As workflows/run.py writes them. Not imported from there: a server that starts has no use for training.
EVALUATION_FILE = "evaluation.json"
DOCUMENT_FILE = "document.json"
REPORT_FILE = "report.html"
CARD_FILE = "card.md"
KEPT_FILES = 64


@lru_cache(maxsize=KEPT_FILES)
def read_json(path: Path) -> JsonObject:
    """The object in a JSON file; empty where there is no such file, as for a version that was made elsewhere."""
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else {}


def evaluation_of(folder: Path) -> JsonObject:
    """See rowsmith.evaluation.score.Evaluation."""
    return read_json(folder / EVALUATION_FILE)


def document_of(folder: Path) -> JsonObject:
    """The report as plain data."""
    return read_json(folder / DOCUMENT_FILE)


def ranked_columns(folder: Path) -> list[str]:
    """Columns by permutation importance on the sealed test part, most important first; empty where it is not known."""
    return [item["column"] for item in evaluation_of(folder).get("importance") or ()]

"""Rowsmith: from rows to a running, watched, documented model.

The names below are loaded when they are first used, so that `import rowsmith` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rowsmith.errors import (
    ArtifactError,
    ChampionChanged,
    ChecksFailed,
    DataError,
    Fault,
    GateRefused,
    NotFoundError,
    RecipeError,
    RowsmithError,
    SchemaError,
    SettingsError,
    SourceError,
    StorageError,
    TrainingError,
    UsageError,
)
from rowsmith.version import __version__

if TYPE_CHECKING:
    from rowsmith.estimators import AutoClassifier, AutoRegressor
    from rowsmith.model import TrainedModel
    from rowsmith.types import Prediction
    from rowsmith.workflows.artifact import load
    from rowsmith.workflows.project import open_project
    from rowsmith.workflows.train import train

HOMES = {
    "AutoClassifier": "rowsmith.estimators",
    "AutoRegressor": "rowsmith.estimators",
    "Prediction": "rowsmith.types",
    "TrainedModel": "rowsmith.model",
    "load": "rowsmith.workflows.artifact",
    "open_project": "rowsmith.workflows.project",
    "train": "rowsmith.workflows.train",
}

__all__ = [
    "ArtifactError",
    "AutoClassifier",
    "AutoRegressor",
    "ChampionChanged",
    "ChecksFailed",
    "DataError",
    "Fault",
    "GateRefused",
    "NotFoundError",
    "Prediction",
    "RecipeError",
    "RowsmithError",
    "SchemaError",
    "SettingsError",
    "SourceError",
    "StorageError",
    "TrainedModel",
    "TrainingError",
    "UsageError",
    "__version__",
    "load",
    "open_project",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'rowsmith' has no attribute {name!r}")
    value = getattr(importlib.import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

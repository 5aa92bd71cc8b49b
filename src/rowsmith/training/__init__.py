"""Training: from encoded rows to the members of a model. Public names only.

The names are loaded when they are asked for, so that a worker process, which needs `unit.py` alone, stays small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowsmith.training.baselines import fit_baselines as fit_baselines
    from rowsmith.training.budget import BAG_ROWS as BAG_ROWS
    from rowsmith.training.data import TrainingData as TrainingData
    from rowsmith.training.families import FAMILIES as FAMILIES
    from rowsmith.training.finish import Answering as Answering
    from rowsmith.training.finish import TrainingResult as TrainingResult
    from rowsmith.training.journal import Journal as Journal
    from rowsmith.training.rerun import replay as replay
    from rowsmith.training.restorers import RESTORERS as RESTORERS
    from rowsmith.training.search import run_search as run_search
    from rowsmith.training.trials import Trial as Trial

_HOMES = {
    "Answering": "finish",
    "BAG_ROWS": "budget",
    "FAMILIES": "families",
    "RESTORERS": "restorers",
    "Journal": "journal",
    "TrainingData": "data",
    "TrainingResult": "finish",
    "Trial": "trials",
    "fit_baselines": "baselines",
    "replay": "rerun",
    "run_search": "search",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""A saved model back into a running one. Only kinds on the allow-list are constructed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rowsmith import training, transformation
from rowsmith.errors import ArtifactError
from rowsmith.model import TrainedModel
from rowsmith.state import State
from rowsmith.storage import archive

Restorer: TypeAlias = Callable[[State, Mapping[str, Any]], Any]

RESTORERS: Mapping[str, Restorer] = {
    TrainedModel.kind: TrainedModel.from_state,
    **transformation.RESTORERS,
    **training.RESTORERS,
}


def load(folder: str | Path) -> TrainedModel:
    """The model of an artifact folder. Raises ArtifactError for anything damaged, foreign or unknown.

    The folder is first read as an inert tree with every hash checked; only then are the parts constructed,
    and only those whose kind is listed in `RESTORERS`. Nothing in the folder is executed.
    """
    return restore(archive.read(Path(folder)), where=str(folder))


def restore(state: State, *, where: str = "") -> TrainedModel:
    """The model that `TrainedModel.to_state` took apart. Raises ArtifactError."""
    if state.kind != TrainedModel.kind:
        raise ArtifactError("this is not a model", where=where, received=repr(state.kind))
    _refuse_strangers(state, where)
    try:
        model: TrainedModel = _restore(state)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
        raise ArtifactError(f"the model cannot be rebuilt from its parts: {problem!r}", where=where) from problem
    return model


def _refuse_strangers(state: State, where: str) -> None:
    if state.kind not in RESTORERS:
        raise ArtifactError(
            "this model has a part of a kind that this release does not know",
            where=where,
            received=repr(state.kind),
            next_step="load it with the release that wrote it (see manifest.json)",
        )
    for child in state.children.values():
        _refuse_strangers(child, where)


def _restore(state: State) -> Any:
    parts = {name: _restore(child) for name, child in state.children.items()}
    return RESTORERS[state.kind](state, parts)

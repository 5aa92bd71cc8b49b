"""From a State tree back to a learner, by the kinds that this room and the transformation know."""

from __future__ import annotations

from typing import Any

from rowsmith.state import State
from rowsmith.training.families import RESTORERS
from rowsmith.transformation.arithmetic import Arithmetic
from rowsmith.transformation.dense import DenseView
from rowsmith.transformation.target_encoding import TargetEncoding

# The parts of the transformation that a learner may own; the rest of that room would load the dataframe library.
VIEWS = (TargetEncoding, DenseView, Arithmetic)
KNOWN = {**RESTORERS, **{view.kind: view.from_state for view in VIEWS}}


def restore(state: State) -> Any:
    """The object a State describes, its children first."""
    parts = {name: restore(child) for name, child in state.children.items()}
    return KNOWN[state.kind](state, parts)

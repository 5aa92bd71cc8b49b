"""The allow-list of what a saved model may hold of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rowsmith.state import State
from rowsmith.transformation.arithmetic import Arithmetic
from rowsmith.transformation.category import CategoryColumn
from rowsmith.transformation.datetime import DatetimeColumn
from rowsmith.transformation.dense import DenseView
from rowsmith.transformation.embedding import TextEmbedding
from rowsmith.transformation.number import NumberColumn
from rowsmith.transformation.table import TableEncoder
from rowsmith.transformation.target_encoding import TargetEncoding
from rowsmith.transformation.text import TextColumn

RESTORERS: Mapping[str, Callable[[State, Mapping[str, Any]], Any]] = {
    TableEncoder.kind: TableEncoder.from_state,
    NumberColumn.kind: NumberColumn.from_state,
    CategoryColumn.kind: CategoryColumn.from_state,
    DatetimeColumn.kind: DatetimeColumn.from_state,
    TextColumn.kind: TextColumn.from_state,
    TextEmbedding.kind: TextEmbedding.from_state,
    TargetEncoding.kind: TargetEncoding.from_state,
    DenseView.kind: DenseView.from_state,
    Arithmetic.kind: Arithmetic.from_state,
}

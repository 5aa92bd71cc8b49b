"""What families look at beside the encoded matrix: target encodings, arithmetic, and the view of linear models."""

from __future__ import annotations

import numpy as np

from rowsmith.conversion.onnx.graph import Graph
from rowsmith.state import State
from rowsmith.transformation.arithmetic import OPERATIONS
from rowsmith.transformation.column import FLOAT32_MAX
from rowsmith.transformation.dense import SOFT_LIMIT
from rowsmith.types import Array


def target_encoded(graph: Graph, matrix: str, encoding: State | None) -> str:
    """The matrix with the columns that the encoding appends (see `TargetEncoding.apply`)."""
    if encoding is None or not encoding.arrays["columns"].size:
        return matrix
    arrays = encoding.arrays
    slots = _slots(graph, graph.columns(matrix, arrays["columns"]), arrays["first"], arrays["missing"])
    found = graph.op("Gather", graph.constant(arrays["table"]), slots, axis=0)
    return graph.side_by_side(matrix, graph.reshaped(found, 0, arrays["columns"].size * arrays["table"].shape[1]))


def with_arithmetic(graph: Graph, matrix: str, view: State) -> str:
    """The matrix with pairs of numbers joined beside it (see `Arithmetic.apply`)."""
    parts = [matrix]
    for left, right, operation in zip(*(view.arrays[name] for name in ("left", "right", "operation")), strict=True):
        a, b = graph.columns(matrix, [left]), graph.columns(matrix, [right])
        match OPERATIONS[operation]:
            case "+":
                joined = graph.add(a, b)
            case "-":
                joined = graph.subtract(a, b)
            case "*":
                joined = graph.times(a, b)
            case _:
                is_zero = graph.op("Equal", b, graph.constant(0.0))
                joined = graph.where(is_zero, graph.constant(np.nan), graph.over(a, b))
        parts.append(graph.as_float32(graph.clipped(joined, -FLOAT32_MAX, FLOAT32_MAX)))
    return graph.side_by_side(*parts)


def one_hot(graph: Graph, matrix: str, columns: Array, levels: Array) -> str:
    """The matrix with columns of 0 and 1 beside it (see `OneHot.apply`)."""
    if not len(columns):
        return matrix
    values = graph.columns(matrix, columns)
    values = graph.where(graph.is_missing(values), graph.constant(-1.0), values)
    return graph.side_by_side(matrix, graph.doubles(graph.op("Equal", values, graph.constant(levels))))


def dense(graph: Graph, matrix: str, view: State) -> str:
    """Shape (rows, features) to (rows, width) (see `DenseView.apply`)."""
    arrays = view.arrays
    matrix = target_encoded(graph, matrix, view.children["target_encoding"])
    parts = []
    if len(arrays["numbers"]):
        numbers = graph.columns(matrix, arrays["numbers"])
        scaled = graph.times(graph.subtract(numbers, graph.constant(arrays["centre"])), graph.constant(arrays["scale"]))
        share = graph.over(scaled, graph.constant(SOFT_LIMIT))
        bent = graph.over(scaled, graph.op("Sqrt", graph.add(graph.constant(1.0), graph.times(share, share))))
        parts.append(graph.where(graph.is_missing(bent), graph.constant(0.0), bent))
    if len(arrays["indicators"]):
        parts.append(graph.doubles(graph.is_missing(graph.columns(matrix, arrays["indicators"]))))
    if (arrays["spread"] >= 0).any():
        parts.append(_spread(graph, matrix, arrays["categories"], arrays["first"], arrays["missing"], arrays["spread"]))
    return graph.side_by_side(*parts)


def _spread(graph: Graph, matrix: str, categories: Array, first: Array, missing: Array, spread: Array) -> str:
    """A column of 0 and 1 for each frequent level. One more takes the levels without a column, and is cut off."""
    width = int((spread >= 0).sum())
    places = np.where(spread >= 0, spread - spread[spread >= 0].min(), width)
    slots = _slots(graph, graph.columns(matrix, categories), first, missing)
    place = graph.op("Gather", graph.integers(places), slots, axis=0)
    bits = graph.constant([0.0, 1.0], np.float32)
    spread_out = graph.doubles(graph.op("OneHot", place, graph.integers(width + 1), bits, axis=-1))
    return graph.columns(graph.total(spread_out, 1), np.arange(width))


def _slots(graph: Graph, codes: str, first: Array, missing: Array) -> str:
    """Places in a table that holds the levels of several categories one after another."""
    own = graph.where(graph.is_missing(codes), graph.constant(missing - first), codes)
    return graph.add(graph.whole(own), graph.integers(first))

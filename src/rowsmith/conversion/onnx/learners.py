"""Each kind of learner, calibrator and blend as expressions of a graph. What is not listed here is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rowsmith.blend import LEAST_PROBABILITY
from rowsmith.conversion.onnx.columns import REFUSED
from rowsmith.conversion.onnx.graph import Graph
from rowsmith.conversion.onnx.trees import ensemble, of_splits, symmetric
from rowsmith.conversion.onnx.views import dense, one_hot, target_encoded, with_arithmetic
from rowsmith.errors import UsageError
from rowsmith.state import State
from rowsmith.training import calibration
from rowsmith.training.families import (
    adapters,
    forest,
    linear,
    neural_learner,
    symmetric_trees,
    tree_learner,
    tree_text,
)
from rowsmith.training.families.exact import on_a_grid
from rowsmith.training.families.links import LARGEST_SUM
from rowsmith.training.families.neural_network import MISH_LIMIT, SELU_ALPHA, SELU_SCALE
from rowsmith.types import Array, Task


def answers(graph: Graph, matrix: str, learner: State) -> str:
    """Encoded matrix to probabilities (rows, classes), or numbers (rows, 1). Raises UsageError."""
    convert = LEARNERS.get(learner.kind)
    if convert is None:
        raise UsageError(f"a learner of the kind {learner.kind!r} has no form in ONNX", next_step=REFUSED)
    return convert(graph, matrix, learner)


def blended(graph: Graph, parts: list[str], shares: list[float], *, is_pool: bool) -> str:
    """See `rowsmith.blend.Blend`."""
    total = ""
    for part, share in zip(parts, shares, strict=True):
        if is_pool:
            part = graph.log(graph.op("Max", part, graph.constant(LEAST_PROBABILITY)))
        weighted = graph.times(part, graph.constant(share))
        total = graph.add(total, weighted) if total else weighted
    return softmax(graph, total) if is_pool else total


def calibrated(graph: Graph, scores: str, calibrator: State) -> str:
    if calibrator.kind == calibration.Temperature.kind:
        logarithms = graph.log(graph.clipped(scores, calibration.TINY, 1.0))
        return softmax(graph, graph.times(logarithms, graph.constant(calibrator.data["inverse"])))
    if calibrator.kind == calibration.Platt.kind:
        event = graph.clipped(graph.columns(scores, [1]), calibration.TINY, 1.0 - calibration.TINY)
        odds = graph.log(graph.over(event, graph.subtract(graph.constant(1.0), event)))
        line = graph.times(odds, graph.constant(calibrator.data["slope"]))
        return two_classes(graph, sigmoid(graph, graph.add(line, graph.constant(calibrator.data["offset"]))))
    raise UsageError(f"a calibrator of the kind {calibrator.kind!r} has no form in ONNX", next_step=REFUSED)


# -- links -------------------------------------------------------------------------------------------------


def sigmoid(graph: Graph, sums: str) -> str:
    powers = graph.exp(graph.op("Neg", graph.clipped(sums, -LARGEST_SUM, LARGEST_SUM)))
    return graph.over(graph.constant(1.0), graph.add(graph.constant(1.0), powers))


def softmax(graph: Graph, sums: str, axis: int = 1) -> str:
    largest = graph.op("ReduceMax", sums, graph.integers([axis]), keepdims=1)
    powers = graph.exp(graph.subtract(sums, largest))
    return graph.over(powers, graph.total(powers, axis, keep=True))


def two_classes(graph: Graph, event: str) -> str:
    """Shape (rows, 1) to (rows, 2)."""
    return graph.side_by_side(graph.subtract(graph.constant(1.0), event), event)


def _linked(graph: Graph, sums: str, task: Task) -> str:
    if task is Task.REGRESSION:
        return sums
    return two_classes(graph, sigmoid(graph, sums)) if task is Task.BINARY else softmax(graph, sums)


# -- learners ----------------------------------------------------------------------------------------------


def _trees(graph: Graph, matrix: str, learner: State) -> str:
    task = Task(learner.data["task"])
    outputs = learner.data["classes"] if task is Task.MULTICLASS else 1
    matrix = target_encoded(graph, matrix, learner.children.get("encoding"))
    trees = list(of_splits(*tree_text.splits_of(learner.blobs["trees"].decode())))
    sums = ensemble(graph, matrix, trees, [i % outputs for i in range(len(trees))], outputs)
    return _linked(graph, graph.times(sums, graph.constant(learner.data.get("unit", 1.0))), task)


def _symmetric_trees(graph: Graph, matrix: str, learner: State) -> str:
    arrays = learner.arrays
    matrix = target_encoded(graph, matrix, learner.children.get("encoding"))
    matrix = one_hot(graph, matrix, arrays["one_hot_columns"], arrays["one_hot_levels"])
    leaves = on_a_grid(arrays["leaves"], len(arrays["leaves"])).astype(np.float32)
    outputs = leaves.shape[2]
    pairs = [(i, output) for i in range(len(leaves)) for output in range(outputs)]
    trees = [symmetric(arrays["columns"][i], arrays["borders"][i], leaves[i, :, output]) for i, output in pairs]
    sums = ensemble(graph, matrix, trees, [output for _, output in pairs], outputs)
    return _linked(graph, graph.add(sums, graph.constant(arrays["bias"])), Task(learner.data["task"]))


def _forest(graph: Graph, matrix: str, learner: State) -> str:
    """Trees say which leaf is reached; a table says what it holds, since a leaf in ONNX holds one number."""
    arrays, data = learner.arrays, learner.data
    if "table" not in arrays:
        raise UsageError("this forest was saved by an older release", next_step="train the model again")
    matrix = target_encoded(graph, matrix, learner.children.get("encoding"))
    counts = arrays["leaves"].astype(np.int64)
    table, codes = on_a_grid(arrays["table"], len(counts)), arrays["codes"].astype(np.float64)
    trees = list(of_splits(forest.splits_of(arrays), codes))
    found = ensemble(graph, matrix, trees, range(len(trees)), len(trees))
    held = graph.op("Gather", graph.constant(table), graph.whole(found), axis=0)
    total, prior_trees = graph.total(held, 1), data.get("prior_trees", 0.0)
    if prior_trees:
        total = graph.add(total, graph.constant(prior_trees * arrays["prior"].astype(np.float64)))
    mean = graph.over(total, graph.constant(len(counts) + prior_trees))
    return two_classes(graph, mean) if Task(data["task"]) is Task.BINARY else mean


def _linear(graph: Graph, matrix: str, learner: State) -> str:
    arrays = learner.arrays
    view = dense(graph, matrix, learner.children["view"])
    sums = graph.op("MatMul", view, graph.constant(arrays["coefficients"].T))
    sums = graph.add(sums, graph.constant(arrays["intercepts"]))
    task = Task(learner.data["task"])
    return _linked(graph, sums, task if task is Task.REGRESSION or len(arrays["intercepts"]) > 1 else Task.BINARY)


def _neural(graph: Graph, matrix: str, learner: State) -> str:
    arrays, data = learner.arrays, learner.data
    signal = _with_cosines(graph, dense(graph, matrix, learner.children["view"]), arrays)
    for i, unit in enumerate(data["units"]):
        signal = _bent(graph, signal, data["activation"]) if i else signal
        signal = _layer(graph, signal, arrays[f"weight-{i}"], arrays[f"bias-{i}"], unit)
    outputs = arrays[f"bias-{len(data['units']) - 1}"].shape[2]
    members = arrays["weight-0"].shape[0]
    if Task(data["task"]) is Task.REGRESSION:
        each = graph.clipped(signal, -data["bound"], data["bound"])
    else:
        each = sigmoid(graph, signal) if outputs == 1 else softmax(graph, signal, axis=2)
    mean = graph.over(graph.total(each, 0), graph.constant(float(members)))
    return two_classes(graph, mean) if Task(data["task"]).is_classification and outputs == 1 else mean


def _with_cosines(graph: Graph, view: str, arrays: Mapping[str, Array]) -> str:
    """Shape (rows, width) to (members, rows, inputs), or (1, rows, width) without cosines."""
    rows = graph.op("Unsqueeze", view, graph.integers([0]))
    embedded = arrays["embedded"]
    if not len(embedded):
        return rows
    members, columns, frequencies = arrays["frequency"].shape
    numbers = graph.op("Unsqueeze", graph.op("Gather", rows, graph.integers(embedded), axis=2), graph.integers([3]))
    frequency, phase = (graph.constant(arrays[name][:, None]) for name in ("frequency", "phase"))
    cosines = graph.op("Cos", graph.add(graph.times(numbers, frequency), phase))
    flat = graph.reshaped(cosines, 0, 0, columns * frequencies)
    whole = graph.op("Concat", *[rows] * members, axis=0) if members > 1 else rows
    return graph.op("Concat", whole, flat, axis=2)


def _layer(graph: Graph, signal: str, weight: Array, bias: Array, unit: float) -> str:
    limit = 2.0 ** neural_learner.bits_for(weight.shape[1])
    digits = graph.op("Round", graph.times(signal, graph.constant(unit)))
    return graph.add(
        graph.op("MatMul", graph.clipped(digits, -limit, limit), graph.constant(weight)), graph.constant(bias)
    )


def _bent(graph: Graph, sums: str, activation: str) -> str:
    """See `rowsmith.training.families.neural_network`."""
    if activation == "selu":
        below = graph.subtract(graph.exp(graph.op("Min", sums, graph.constant(0.0))), graph.constant(1.0))
        above = graph.times(graph.op("Max", sums, graph.constant(0.0)), graph.constant(SELU_SCALE))
        return graph.add(graph.times(below, graph.constant(SELU_SCALE * SELU_ALPHA)), above)
    if activation == "mish":
        power = graph.exp(graph.op("Min", sums, graph.constant(MISH_LIMIT)))
        bent = graph.times(power, graph.add(power, graph.constant(2.0)))
        return graph.times(sums, graph.over(bent, graph.add(bent, graph.constant(2.0))))
    raise UsageError(f"a network bent by {activation!r} has no form in ONNX", next_step=REFUSED)


def _constant(graph: Graph, matrix: str, learner: State) -> str:
    nothing = ensemble(graph, matrix, [], [], len(learner.arrays["answer"]))
    return graph.add(nothing, graph.constant(learner.arrays["answer"]))


def _some_classes(graph: Graph, matrix: str, learner: State) -> str:
    """Probabilities of the classes that were seen go to their columns; the others get the floor."""
    present, classes, floor = learner.arrays["present"], learner.data["classes"], learner.data["floor"]
    inner = answers(graph, matrix, learner.children["learner"])
    share = 1.0 - floor * (classes - len(present))
    spread = np.zeros((len(present), classes))
    spread[np.arange(len(present)), present] = share
    floors = np.full(classes, floor)
    floors[present] = 0.0
    return graph.add(graph.op("MatMul", inner, graph.constant(spread)), graph.constant(floors))


def _scaled_target(graph: Graph, matrix: str, learner: State) -> str:
    data = learner.data
    inner = answers(graph, matrix, learner.children["learner"])
    scores = graph.add(graph.times(inner, graph.constant(data["scale"])), graph.constant(data["offset"]))
    if not data["log"]:
        return scores
    return graph.subtract(graph.exp(graph.clipped(scores, 0.0, data["highest"])), graph.constant(1.0))


def _with_arithmetic(graph: Graph, matrix: str, learner: State) -> str:
    wider = with_arithmetic(graph, matrix, learner.children["arithmetic"])
    return answers(graph, wider, learner.children["learner"])


LEARNERS: Mapping[str, Callable[[Graph, str, State], str]] = {
    tree_learner.KIND: _trees,
    symmetric_trees.KIND: _symmetric_trees,
    forest.KIND: _forest,
    linear.KIND: _linear,
    neural_learner.KIND: _neural,
    adapters.Constant.kind: _constant,
    adapters.SomeClasses.kind: _some_classes,
    adapters.ScaledTarget.kind: _scaled_target,
    adapters.WithArithmetic.kind: _with_arithmetic,
}

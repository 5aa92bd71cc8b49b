"""Trees in the common form answer as their library does; the compiled loop and its twin have the same bits."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.errors import ArtifactError
from rowsmith.training.families import traverse
from rowsmith.training.families.links import chance, sigmoid
from rowsmith.training.families.node_table import NodeTable, Splits
from rowsmith.training.families.traverse import IS_CATEGORY, add_leaves_numpy
from rowsmith.training.families.tree_plan import NOT_PLANNED, plan_of
from rowsmith.training.families.tree_text import node_table
from rowsmith.training.families.trees import trimmed
from rowsmith.types import Array, Matrix, Scores2D, Task
from tests.training.tables import make_table

LEVELS = [-1.0, 7.0, 31.0, 32.0, 63.0, 64.0, 2047.5, 1e9, 3e9]
HOSTILE = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 0.5, *LEVELS]


def grown(rounds: int = 100) -> tuple[lightgbm.Booster, Matrix]:
    """Two classes, an event in ten; categories as they are."""
    data = make_table(Task.BINARY, rows=800)
    target = (data.matrix[:, 0] > 1.2).astype(np.float32)
    params = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    dataset = lightgbm.Dataset(data.matrix, target, categorical_feature=[3, 4])
    return lightgbm.train(params, dataset, rounds), data.matrix


@settings(max_examples=300, deadline=None)
@given(sums=st.lists(st.floats(width=64), min_size=1, max_size=20))
def test_one_chance_has_the_bits_of_many(sums: list[float]) -> None:
    many = sigmoid(np.array(sums))
    one = np.array([chance(value) for value in sums])
    np.testing.assert_array_equal(one.view(np.int64), many.view(np.int64))


def twin(table: NodeTable, matrix: Matrix) -> Scores2D:
    sums = np.zeros((len(matrix), table.count))
    trees = table.questions, table.sets, table.nodes, table.values, table.width, table.roots, table.outputs
    add_leaves_numpy(*trees, matrix, len(matrix), sums)
    return sums


def random_splits(rng: np.random.Generator, columns: int, sizes: list[int]) -> Splits:
    """Trees of so many inner nodes, split at random leaves; every third node asks for a set of levels."""
    left, right = [], []
    for size in sizes:
        lefts, rights = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        holes: list[tuple[Array, int]] = []
        for node in range(size):
            if node:
                side, parent = holes.pop(int(rng.integers(len(holes))))
                side[parent] = node
            holes += [(lefts, node), (rights, node)]
        for leaf, (side, parent) in enumerate(holes):
            side[parent] = ~leaf
        left.append(lefts)
        right.append(rights)
    nodes = np.array(sizes, dtype=np.int64)
    total = int(nodes.sum())
    thresholds = rng.choice(np.array([*HOSTILE[1:], *rng.normal(size=20)], dtype=np.float32), total)
    many = rng.integers(0, 2**32, 64, dtype=np.uint32)
    sets = np.array([1, 0x80000001, 0, 2, 0xFFFFFFFF, 1, 64, *many], dtype=np.uint32)
    return Splits(
        nodes=nodes,
        leaves=nodes + 1,
        column=rng.integers(0, columns, total),
        threshold=thresholds,
        missing_left=rng.random(total) < 0.5,
        left=np.concatenate(left),
        right=np.concatenate(right),
        is_category=np.arange(total) % 3 == 2,
        set_place=rng.choice(np.array([0, 2, 3, 6]), total),
        sets=sets,
    )


def random_table(seed: int, sizes: list[int], width: int = 1, columns: int = 5) -> NodeTable:
    rng = np.random.default_rng(seed)
    splits = random_splits(rng, columns, sizes)
    leaves = int(splits.leaves.sum())
    values = rng.integers(-(2**40), 2**40, leaves * width).astype(np.float64)
    outputs = np.arange(len(sizes)) % 2
    return NodeTable.of(splits, np.arange(leaves) * width, values, width, outputs, count=width + 1)


def walked(splits: Splits, tree: int, row: Array) -> int:
    """The leaf that a row reaches, by the words of `Splits`."""
    first = int(splits.nodes[:tree].sum())
    node = 0
    if splits.nodes[tree] == 0:
        return 0
    while node >= 0:
        i = first + node
        value = row[splits.column[i]]
        if splits.is_category is not None and splits.set_place is not None and splits.is_category[i]:
            start = int(splits.set_place[i])
            words = splits.sets[start + 1 : start + 1 + int(splits.sets[start])].tolist()
            levels = {32 * word + bit for word, bits in enumerate(words) for bit in range(32) if bits >> bit & 1}
            goes_left = bool(value > -1) and bool(value < 2**31) and int(value) in levels
        else:
            goes_left = bool(splits.missing_left[i]) if np.isnan(value) else bool(value <= splits.threshold[i])
        node = int(splits.left[i] if goes_left else splits.right[i])
    return ~node


def hostile_rows(seed: int, rows: int, columns: int = 5) -> Matrix:
    rng = np.random.default_rng(seed)
    values = np.array([*HOSTILE, *rng.normal(size=20)], dtype=np.float32)
    return rng.choice(values, (rows, columns))


@pytest.mark.skipif(not traverse.is_compiled, reason="there was no compiler when this was installed")
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(0, 40), min_size=1, max_size=20), width=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_compiled_and_twin_have_the_same_bits(seed: int, sizes: list[int], width: int) -> None:
    table = random_table(seed, sizes, width)
    matrix = hostile_rows(seed, 270 + seed % 7)
    sums = table.sums(matrix)
    np.testing.assert_array_equal(sums.view(np.int64), twin(table, matrix).view(np.int64))
    for i in range(0, len(matrix), 31):
        np.testing.assert_array_equal(table.sums_row(matrix[i]).view(np.int64), sums[i].view(np.int64))


@pytest.mark.parametrize("rows", [2, 15, 16, 31, 32, 65, 255, 256, 257, 271, 272, 600])
def test_large_trees_and_small_ones_and_any_number_of_rows(rows: int) -> None:
    sizes = [3, 254, 0, 255, 256, 400, 64, 63, 1]
    tables = [random_table(seed, sizes) for seed in (1, 2)]
    table = NodeTable.joined(tables, [np.arange(5), np.arange(5)[::-1].copy()])
    plan = plan_of(table.nodes, table.roots)
    assert (plan.inner == NOT_PLANNED).tolist() == [size > 255 for size in sizes] * 2
    matrix = hostile_rows(rows, rows)
    np.testing.assert_array_equal(table.sums(matrix).view(np.int64), twin(table, matrix).view(np.int64))


def test_the_nodes_of_a_tree_may_be_in_any_order() -> None:
    """Node 1 is the child of node 2."""
    splits = Splits(
        nodes=np.array([3]),
        leaves=np.array([4]),
        column=np.array([0, 1, 2]),
        threshold=np.zeros(3, dtype=np.float32),
        missing_left=np.array([True, False, True]),
        left=np.array([2, ~0, 1]),
        right=np.array([~3, ~1, ~2]),
    )
    table = NodeTable.of(splits, np.arange(4), np.array([1.0, 2.0, 4.0, 8.0]), 1, np.zeros(1, dtype=np.int64), 1)
    assert plan_of(table.nodes, table.roots).inner.tolist() == [3]
    matrix = hostile_rows(5, 100, columns=3)
    assert table.sums(matrix)[:, 0].tolist() == [2.0 ** walked(splits, 0, row) for row in matrix]


def test_rows_reach_the_leaves_that_the_splits_say() -> None:
    sizes = [0, 1, 30, 7, 12, 3, 5, 9, 20]
    rng = np.random.default_rng(3)
    splits = random_splits(rng, 5, sizes)
    leaves = int(splits.leaves.sum())
    matrix = hostile_rows(3, 50)
    first = np.cumsum(splits.leaves) - splits.leaves
    outputs = np.arange(len(sizes))
    table = NodeTable.of(splits, np.arange(leaves), np.arange(leaves, dtype=np.float64), 1, outputs, len(sizes))
    expected = [[first[tree] + walked(splits, tree, row) for tree in range(len(sizes))] for row in matrix]
    np.testing.assert_array_equal(table.sums(matrix), np.array(expected, dtype=np.float64))


def test_joined_tables_answer_each_for_itself() -> None:
    tables = [random_table(seed, [3, 0, 11, 5][: seed + 1], columns=3) for seed in range(4)]
    places = [np.array([4, 2, 0]), np.array([1, 1, 3]), np.array([0, 5, 2]), np.array([5, 4, 3])]
    joined = NodeTable.joined(tables, places)
    matrix = hostile_rows(0, 40, columns=6)
    apart = [table.sums(matrix[:, place]) for table, place in zip(tables, places, strict=True)]
    np.testing.assert_array_equal(joined.sums(matrix), np.concatenate(apart, axis=1))


def test_a_trimmed_model_answers_as_its_library() -> None:
    booster, matrix = grown()
    hostile = np.concatenate([matrix, hostile_rows(1, 500, matrix.shape[1])])
    trees = trimmed(booster.model_to_string(), matrix.shape[1])
    sums = trees.unit * node_table(trees.text, outputs=1).sums(hostile)[:, 0]
    np.testing.assert_allclose(sigmoid(sums), booster.predict(hostile), rtol=1e-6)
    assert len(trees.text) < 0.6 * len(booster.model_to_string())


def test_sets_of_levels_that_are_the_same_are_asked_for_once() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 6, (800, 2)).astype(np.float32)
    target = np.isin(matrix[:, 0], [1, 4]) ^ (rng.random(800) < 0.2)
    dataset = lightgbm.Dataset(matrix, target, categorical_feature=[0, 1])
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_per_group": 20}
    text = trimmed(lightgbm.train(settings, dataset, 50).model_to_string(), 2).text
    table = node_table(text, outputs=1)
    asked = table.questions[table.questions["kind"] == IS_CATEGORY]
    places = asked["set"].tolist()
    sets = [table.sets[place : place + 1 + table.sets[place]].tobytes() for place in places]
    assert len(set(zip(asked["column"].tolist(), sets, strict=True))) == len(sets)
    assert sum(line.startswith("cat_boundaries") for line in text.splitlines()) >= 40
    assert 0 < len(sets) <= 2**6


@pytest.mark.parametrize("text", ["", "tree", "num_leaves=x\n", "num_leaves=3\nleaf_value=1 2 3\n"])
def test_text_that_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="not trees"):
        node_table(text, outputs=1)
    with pytest.raises(ArtifactError, match="not trees"):
        node_table(f"\nTree=0\n{text or 'num_leaves=2'}\nend of trees\n", outputs=1)


@pytest.mark.parametrize(
    "damage",
    [
        {"left": np.array([1, 0])},
        {"left": np.array([0, ~0])},
        {"left": np.array([2, ~0])},
        {"left": np.array([1, ~3])},
        {"right": np.array([~0, ~1])},
        {"column": np.array([-1, 0])},
        {"leaves": np.array([2])},
        {"threshold": np.zeros(3, dtype=np.float32)},
        {"is_category": np.array([True, False]), "set_place": np.array([9, 0])},
        {"is_category": np.array([True, False]), "set_place": np.array([0, 0]), "sets": np.array([7], dtype=np.uint32)},
    ],
)
def test_damaged_trees_lead_no_row_astray(damage: dict[str, Array]) -> None:
    """A root with a node on its left that has two leaves, and a leaf on its right."""
    whole = Splits(
        nodes=np.array([2]),
        leaves=np.array([3]),
        column=np.array([0, 1]),
        threshold=np.zeros(2, dtype=np.float32),
        missing_left=np.array([True, False]),
        left=np.array([1, ~0]),
        right=np.array([~2, ~1]),
    )
    values = np.array([1.0, 2.0, 4.0])
    output = np.zeros(1, dtype=np.int64)
    table = NodeTable.of(whole, np.arange(3), values, 1, output, 1)
    rows = np.array([[-1, 1], [-1, -1], [1, 0], [np.nan, np.nan]], dtype=np.float32)
    assert table.sums(rows)[:, 0].tolist() == [2.0, 1.0, 4.0, 2.0]
    with pytest.raises(ArtifactError, match="not trees"):
        NodeTable.of(replace(whole, **damage), np.arange(3), values, 1, output, 1)
    with pytest.raises(ArtifactError, match="holds nothing"):
        NodeTable.of(whole, np.arange(3) + 1, values, 1, output, 1)
    with pytest.raises(ArtifactError, match="no output"):
        NodeTable.of(whole, np.arange(3), values, 1, output + 1, 1)

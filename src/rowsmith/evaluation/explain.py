"""Why this answer: the share that each column has in the answer for one row.

Shapley values by sampled permutations: starting from a background row, the columns are set one after the other,
in random order, to the values of the row that is explained, and each step of the answer is credited to the
column that was set (Štrumbelj and Kononenko 2014, doi:10.1007/s10115-013-0679-x). Every order is also walked
backwards, which halves the noise (Mitchell et al. 2022, arXiv:2104.12199). Whatever the number of walks, the
contributions add up to the difference between the answer and the mean answer of the background rows walked from.

They tell what moved the model, not what would move the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rowsmith.evaluation.importance import columns_of_features
from rowsmith.evaluation.testset import TestSet
from rowsmith.model import TrainedModel
from rowsmith.types import Array, JsonObject, Matrix, Scores2D, Vector

BACKGROUND_ROWS = 16
CANDIDATES = 400
NAMED_COLUMNS = 20
EVALUATIONS = 256
OTHERS = ""


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much a column moved the answer, in its unit (a probability, or the target's). `column` is "" for the rest."""

    column: str
    amount: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """`answer` = `base` + the sum of the contributions, largest first.

    For two classes the answer is the probability of the event, for more that of the class `label` (the one
    chosen), for a number the number itself and `label` is None. `base` is the mean answer over background rows,
    which is about the mean answer of the test part.
    """

    label: str | None
    answer: float
    base: float
    contributions: tuple[Contribution, ...]
    walks: int

    def to_dict(self) -> JsonObject:
        return asdict(self) | {"contributions": [asdict(item) for item in self.contributions]}


def background(test: TestSet, ranked: Sequence[str]) -> JsonObject:
    """What an `Explainer` needs, to be stored with the version: encoded rows, and the columns worth naming.

    No row of the data can be read back from them: the values of each column are drawn on their own. Of many such
    rows those are kept whose answers lie closest to answers for real rows, evenly spread from lowest to highest,
    so the mean answer over them is about the mean answer of the test part. `ranked` are columns, most important
    first; beyond the first 20 they are explained together.
    """
    if test.rows == 0:
        return {"columns": list(ranked[:NAMED_COLUMNS]), "rows": []}
    random = np.random.default_rng([test.seed, 5])
    mixed = np.empty((CANDIDATES, test.matrix.shape[1]), dtype=np.float32)
    for positions in columns_of_features(test.model.encoder.features).values():
        mixed[:, positions] = test.matrix[random.integers(0, test.rows, CANDIDATES)][:, positions]
    kept = mixed[_like(test.scores, test.model.scores(mixed))]
    values = [[None if np.isnan(value) else float(value) for value in row] for row in kept]
    return {"columns": list(ranked[:NAMED_COLUMNS]), "rows": values}


def _like(real: Scores2D, mixed: Scores2D) -> list[int]:
    """Positions in `mixed` of the answers closest to evenly spread ones of `real`, lowest first."""
    places = (np.arange(BACKGROUND_ROWS) + 0.5) / BACKGROUND_ROWS
    anchors = real[np.argsort(real[:, -1], kind="stable")[(places * len(real)).astype(np.int64)]]
    distances = np.abs(anchors[:, None, :] - mixed[None, :, :]).sum(axis=2)
    found: list[int] = []
    for row in distances:
        row[found] = np.inf
        found.append(int(row.argmin()))
    return found


class Explainer:
    """Explains the answers that `model.predict_row` gives; the same row gets the same explanation.

    `stored` is what `background` made. What does not depend on the row (the orders of the walks, and what the model
    says of their starts) is worked out once. Safe for any number of threads.
    """

    def __init__(
        self, model: TrainedModel, stored: JsonObject, *, evaluations: int = EVALUATIONS, seed: int = 0
    ) -> None:
        """An explanation asks the model about at most `evaluations` rows."""
        self._model = model
        players = _players(model, stored["columns"])
        self._names = list(players)
        self.walks = 2 * max(evaluations // (2 * (len(players) + 1)), 1)
        width = len(model.encoder.features)
        self._orders = _orders(len(players), self.walks, np.random.default_rng(seed))
        self._owners = np.empty(width, dtype=np.int64)
        for player, positions in enumerate(players.values()):
            self._owners[positions] = player
        self._is_set = _is_set(self._orders, self._owners)
        rows = _rows_of(stored, width)
        self._starts = _starts(rows, self.walks) if len(rows) else None
        # Two walks share a start.
        self._at_starts = None if self._starts is None else np.repeat(model.scores(self._starts[::2]), 2, axis=0)

    def explain(self, row: Mapping[str, Any]) -> Explanation:
        """Raises SchemaError as `predict_row` does."""
        model = self._model
        vector = model.encoder.encode_row(model.conformer.row(row).row)
        scores = model.scores_row(vector)
        output = _explained_output(model, scores)
        answers = self._along_the_walks(vector, scores, output)
        steps = np.zeros((self.walks, len(self._names)))
        np.put_along_axis(steps, self._orders, np.diff(answers, axis=1), axis=1)
        contributions = [
            Contribution(name, float(amount)) for name, amount in zip(self._names, steps.mean(axis=0), strict=True)
        ]
        return Explanation(
            label=model.labels[output] if model.labels else None,
            answer=float(scores[output]),
            base=float(answers[:, 0].mean()),
            contributions=tuple(sorted(contributions, key=lambda item: -abs(item.amount))),
            walks=self.walks,
        )

    def _along_the_walks(self, vector: Matrix, scores: Vector, output: int) -> Array:
        """What the model says at the start of each walk and after each of its steps: shape (walks, players + 1).

        A step that changes nothing is not asked about, nor is the end of a walk, which is the row itself.
        """
        answers = np.full((self.walks, len(self._names) + 1), scores[output])
        if self._starts is None or self._at_starts is None:
            return answers
        answers[:, 0] = self._at_starts[:, output]
        # Bit by bit: a missing value is no other than a missing value.
        differs = self._starts.view(np.uint32) != vector.view(np.uint32)
        moves = np.zeros((self.walks, len(self._names)), dtype=bool)
        np.logical_or.at(moves.T, self._owners, differs.T)
        moves = np.take_along_axis(moves, self._orders, axis=1)
        is_asked = moves & (np.cumsum(moves, axis=1) < moves.sum(axis=1, keepdims=True))
        walk, step = np.nonzero(is_asked)
        if len(walk):
            between = np.where(self._is_set[walk, step + 1], vector, self._starts[walk])
            answers[walk, step + 1] = self._model.scores(between)[:, output]
        # A step that changes nothing leaves the answer of the last one that did.
        last = np.maximum.accumulate(np.where(moves, np.arange(1, moves.shape[1] + 1), 0), axis=1)
        answers[:, 1:] = np.take_along_axis(answers, last, axis=1)
        return answers


def _explained_output(model: TrainedModel, scores: Vector) -> int:
    return 1 if len(scores) == 2 else int(np.argmax(scores)) if model.labels else 0


def _players(model: TrainedModel, named: Sequence[str]) -> dict[str, Array]:
    """Positions in the encoded row, by column; what is not named plays as one."""
    columns = columns_of_features(model.encoder.features)
    players = {name: columns[name] for name in named if name in columns}
    rest = [positions for name, positions in columns.items() if name not in players]
    return players | ({OTHERS: np.concatenate(rest)} if rest else {})


def _rows_of(stored: JsonObject, width: int) -> Matrix:
    rows = [[np.nan if value is None else value for value in row] for row in stored["rows"]]
    return np.array(rows, dtype=np.float32).reshape(-1, width)


def _starts(stored: Matrix, walks: int) -> Matrix:
    """A stored row for each pair of walks, spread evenly over their order (by answer): shape (walks, features)."""
    pairs = (np.arange(walks // 2) + 0.5) * len(stored) / (walks // 2)
    return np.repeat(stored[pairs.astype(np.int64) % len(stored)], 2, axis=0)


def _orders(players: int, walks: int, random: np.random.Generator) -> Array:
    """Random orders of the players, each followed by its reverse: shape (walks, players)."""
    forward = [random.permutation(players) for _ in range(walks // 2)]
    return np.array([order for drawn in forward for order in (drawn, drawn[::-1])]).reshape(walks, players)


def _is_set(orders: Array, owners: Array) -> Array:
    """Whether a feature has the row's own value after so many steps: shape (walks, players + 1, features)."""
    turns = np.argsort(orders, axis=1)[:, owners]
    return np.asarray(turns[:, None, :] < np.arange(orders.shape[1] + 1)[:, None])

"""The order of configurations that helps an ensemble most, from the answers that `collect.py` keeps.

    python benchmarks/portfolio/learn.py FOLDER [--out src/rowsmith/training/portfolio.json] [--leave-out TABLE]
                                         [--all-leave-one-out FOLDER]

Greedy: append the configuration that brings the ensemble furthest, in the mean over the tables and for the time it
takes, until nothing helps. What counts of a table is the share of the way from the quick model that every search
begins with to the ensemble of everything, so that no table counts for more because its errors are easily halved.
Shares of an ensemble are chosen on some rows and judged on others.

`--all-leave-one-out` writes for each table the order that was learned without it, and prints what such an order gives
on the table that it has not seen, beside the order by hand and random ones.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rowsmith.evaluation.metrics import get_metric
from rowsmith.training.portfolio import FORMAT, configuration_names
from rowsmith.types import Array, Metric, Rows, Scores2D, Task

LOG = "+log"
QUICK = "/quick"
CORES, BUDGET = 2, 60.0
SHORTEST, LONGEST = 5.0, 600.0
"""Budgets in seconds that an order has to be good for, all of them alike on a scale of logarithms."""
OVERHEAD = 0.05
"""Of the budget, that any configuration is taken to cost beside its own time; keeps trifles from coming first."""
SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
LEAST_GAIN = 3e-3
LEAST_GAP = 0.05
MOST_ENTRIES = 30
MOST_ROWS = 4000
DOUBTFUL_ROWS = 1000
PARTS = 3
ALL = slice(None)
STEPS = 15
RANDOM_ORDERS = 5
TRIALS, SECONDS = (5, 10, 20), (10.0, 30.0, 60.0, 120.0)


@dataclass(frozen=True)
class Table:
    """What was collected of a table: the truth (rows,), and each configuration's out-of-fold answers (rows, outputs).

    `seconds` are those of one core for all folds of a trial. `known` remembers the errors of ensembles.
    """

    name: str
    metric: Metric
    truth: Array
    answers: dict[str, Scores2D]
    seconds: dict[str, float]
    known: dict[frozenset[str], float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """How much the table counts: the error of few rows is mostly chance."""
        return len(self.truth) / (len(self.truth) + DOUBTFUL_ROWS)

    @cached_property
    def parts(self) -> list[tuple[Rows, Rows]]:
        """Rows that shares are chosen on, and those that judge them. The rows are in random order."""
        part = np.arange(len(self.truth)) % PARTS
        return [(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(PARTS)]

    def error(self, mixed: Scores2D, rows: Rows | slice = ALL) -> float:
        """Of answers for these rows; lower is better, 0 the best, and 1 where it is not defined."""
        score = self.metric.function(self.truth[rows], self.metric.predicted(mixed), None)
        error = 1.0 - score if self.metric.greater_is_better else score
        return max(error, 1e-9) if math.isfinite(error) else 1.0

    def judged(self, blends: Sequence[Scores2D]) -> float:
        """Error of all rows, each answered by the blend whose shares it had no part in."""
        mixed = np.empty_like(blends[0])
        for blend, (_, judges) in zip(blends, self.parts, strict=True):
            mixed[judges] = blend[judges]
        return self.error(mixed)

    def trials(self, order: Sequence[str]) -> list[str]:
        """What the search would run: the quick model, then these, with a logarithm after each family's first.

        Which configuration learns the logarithm matters little, so one a family is collected.
        """
        found = [name for name in self.answers if name.endswith(QUICK)]
        seen: set[str] = set()
        for name in order:
            if name in self.answers:
                family = name.partition("/")[0]
                found.append(name)
                found += [log for log in self.logarithms if log.startswith(f"{family}/") and family not in seen]
                seen.add(family)
        return found

    @cached_property
    def logarithms(self) -> list[str]:
        return [name for name in self.answers if name.endswith(LOG)]

    @cached_property
    def gap(self) -> float:
        """Between the logarithms of the errors of the quick model and of the ensemble of everything."""
        found = math.log(State.start(self).error) - math.log(ensemble_error(self, list(self.answers)))
        return max(found, LEAST_GAP)


@dataclass
class State:
    """How far an order has come on a table: a blend for each of its parts, and what they give on the other rows."""

    table: Table
    blends: list[Scores2D]
    error: float
    elapsed: float = 0.0
    order: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, table: Table) -> State:
        """With the quick model, or else the mean of the answers."""
        if trials := table.trials(()):
            blends = [table.answers[trials[0]]] * PARTS
        else:
            blends = [np.asarray(np.mean(list(table.answers.values()), axis=0))] * PARTS
        return cls(table, blends, table.judged(blends), sum(table.seconds[name] for name in trials))

    def trials(self, name: str) -> list[str]:
        """What appending this configuration adds."""
        return self.table.trials([*self.order, name])[len(self.table.trials(self.order)) :]

    def cost(self, name: str) -> float:
        return sum(self.table.seconds[trial] for trial in self.trials(name))

    def error_with(self, name: str) -> float:
        """Quickly: the blends are mixed with what comes, and not chosen anew."""
        blends = self.blends
        for trial in self.trials(name):
            blends = [
                _mixed(self.table, blend, self.table.answers[trial], choosers)
                for blend, (choosers, _) in zip(blends, self.table.parts, strict=True)
            ]
        return self.table.judged(blends)

    def grown(self, name: str) -> State:
        if not self.trials(name):
            return self
        order = [*self.order, name]
        blends = selected(self.table, self.table.trials(order))
        return State(self.table, blends, self.table.judged(blends), self.elapsed + self.cost(name), order)


def _mixed(table: Table, blend: Scores2D, answers: Scores2D, rows: Rows) -> Scores2D:
    """The blend with the share of the answers that is best on these rows."""
    old, new = blend[rows], answers[rows]
    errors = [table.error((1 - share) * old + share * new, rows) for share in SHARES]
    share = SHARES[int(np.argmin(errors))]
    return (1 - share) * blend + share * answers if share else blend


class Learner:
    """Learns orders; remembers what it worked out, because orders without one table begin alike."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, frozenset[str], str], float] = {}

    def order(self, tables: Sequence[Table]) -> list[str]:
        states = [State.start(table) for table in tables]
        left = sorted({name for table in tables for name in table.answers if _is_plain(name)})
        order: list[str] = []
        while left and len(order) < MOST_ENTRIES:
            gains = {name: mean(states, [self._gain(state, name) for state in states]) for name in left}
            helpful = [name for name in left if gains[name] >= LEAST_GAIN]
            if not helpful:
                break
            best = max(helpful, key=lambda name: self._worth(states, name))
            left.remove(best)
            order.append(best)
            states = [state.grown(best) for state in states]
        return order

    def _gain(self, state: State, name: str) -> float:
        """Share of the table's gap that is closed; not below 0, because an ensemble leaves out what does not help."""
        if not state.trials(name):
            return 0.0
        key = (state.table.name, frozenset(state.order), name)
        if key not in self._errors:
            self._errors[key] = state.error_with(name)
        return max(math.log(state.error) - math.log(self._errors[key]), 0.0) / state.table.gap

    def _worth(self, states: Sequence[State], name: str) -> float:
        """Mean gain, as far as budgets reach it, for the time it takes."""
        costs = [state.cost(name) / CORES for state in states]
        ends = [state.elapsed / CORES + cost for state, cost in zip(states, costs, strict=True)]
        gains = [self._gain(state, name) * reached(end) for state, end in zip(states, ends, strict=True)]
        return mean(states, gains) / (OVERHEAD + mean(states, [min(cost / BUDGET, 1.0) for cost in costs]))


def reached(seconds: float) -> float:
    """Share of the budgets that last so long."""
    share = math.log(LONGEST / max(seconds, SHORTEST)) / math.log(LONGEST / SHORTEST)
    return max(share, 0.01)


def _is_plain(name: str) -> bool:
    return not name.endswith((LOG, QUICK))


def mean(states: Sequence[State], values: Sequence[float]) -> float:
    return float(np.average(values, weights=[state.table.weight for state in states]))


def ensemble_error(table: Table, trials: Sequence[str]) -> float:
    """Of the ensemble that greedy selection (Caruana et al. 2004) makes of these trials, in whatever order."""
    key = frozenset(trials)
    if key not in table.known:
        table.known[key] = table.judged(selected(table, sorted(trials)))
    return table.known[key]


def selected(table: Table, trials: Sequence[str]) -> list[Scores2D]:
    return [_selected(table, trials, choosers) for choosers, _ in table.parts]


def _selected(table: Table, trials: Sequence[str], rows: Rows) -> Scores2D:
    pieces = [table.answers[name][rows] for name in trials]
    total, counts = np.zeros_like(pieces[0]), np.zeros(len(trials))
    best, best_error = counts, math.inf
    for step in range(1, STEPS + 1):
        errors = [table.error((total + piece) / step, rows) for piece in pieces]
        chosen = int(np.argmin(errors))
        total, counts = total + pieces[chosen], counts + np.eye(len(trials))[chosen]
        if errors[chosen] < best_error:
            best, best_error = counts / step, errors[chosen]
    return np.asarray(sum(share * table.answers[name] for name, share in zip(trials, best, strict=True) if share))


def within(table: Table, trials: Sequence[str], seconds: float) -> list[str]:
    """The trials that end in time, the first in any case. What does not fit is passed over, as the search does."""
    chosen, elapsed = list(trials[:1]), table.seconds[trials[0]]
    for name in trials[1:]:
        if elapsed + table.seconds[name] <= seconds * CORES:
            chosen.append(name)
            elapsed += table.seconds[name]
    return chosen


def compare(tables: Sequence[Table], orders: dict[str, list[str]], by_hand: Sequence[str]) -> None:
    """Print the error of each table with the order learned without it, relative to the order by hand."""
    titles = [f"{number} trials" for number in TRIALS] + [f"{seconds:g} s" for seconds in SECONDS]
    print(f"change of the error against the order by hand, %\n{'':24}" + "".join(f"{title:>18}" for title in titles))
    print(f"{'':24}" + f"{'learned  random':>18}" * len(titles))
    rng = np.random.default_rng(0)
    rows = []
    for table in tables:
        names = [name for name in by_hand if name in table.answers]
        learned = orders[table.name] + [name for name in names if name not in orders[table.name]]
        randoms = [list(rng.permutation(names)) for _ in range(RANDOM_ORDERS)]
        hand, own, *others = [np.array(_errors(table, order)) for order in (names, learned, *randoms)]
        rows.append(100 * np.stack([own - hand, np.mean(others, axis=0) - hand]))
        print(_line(table.name, rows[-1]), flush=True)
    print(_line("median", np.median(rows, axis=0)))
    print(_line("mean", np.average(rows, axis=0, weights=[table.weight for table in tables])))


def _errors(table: Table, order: Sequence[str]) -> list[float]:
    """Logarithms, after so many trials and after so many seconds."""
    trials = table.trials(order)
    cuts = [trials[: number + 1] for number in TRIALS] + [within(table, trials, seconds) for seconds in SECONDS]
    return [math.log(ensemble_error(table, cut)) for cut in cuts]


def _line(name: str, changes: Array) -> str:
    return f"{name:24}" + "".join(f"{learned:+10.2f}{chance:+8.2f}" for learned, chance in changes.T)


def read_table(folder: Path) -> Table:
    facts: dict[str, Any] = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    with np.load(folder / "truth.npz") as kept:
        folds = len(kept.files)
        whole = np.concatenate([kept[f"truth_{fold}"] for fold in range(folds)])
    rows = np.random.default_rng(0).permutation(len(whole))[:MOST_ROWS]
    answers: dict[str, Scores2D] = {}
    seconds: dict[str, float] = {}
    for place in sorted(folder.glob("*/*.npz")):
        name = f"{place.parent.name}/{place.stem}"
        with np.load(place) as kept:
            if len(kept["seconds"]) >= folds:
                parts = [kept[f"answers_{fold}"] for fold in range(folds)]
                answers[name] = np.concatenate(parts)[rows].astype(np.float64)
                seconds[name] = float(kept["seconds"].mean()) * facts["folds"]
    metric = get_metric(facts["metric"], Task(facts["task"]))
    return Table(facts["name"], metric, whole[rows], answers, seconds)


def write(path: Path, order: Sequence[str], tables: Sequence[Table]) -> None:
    document = {
        "format": FORMAT,
        "made_by": "python benchmarks/portfolio/learn.py",
        "learned_from": [table.name for table in tables],
        "order": list(order),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what collect.py wrote")
    parser.add_argument("--out", type=Path, help="the file for the order that is learned")
    parser.add_argument("--leave-out", help="a table to learn without")
    parser.add_argument("--all-leave-one-out", type=Path, help="folder for an order without each of the tables")
    args = parser.parse_args()
    tables = [read_table(place.parent) for place in sorted(args.folder.glob("*/table.json"))]
    tables = [table for table in tables if table.answers]
    learner = Learner()
    if args.out or args.leave_out:
        others = [table for table in tables if table.name != args.leave_out]
        order = learner.order(others)
        print("\n".join(order), flush=True)
        if args.out:
            write(args.out, order, others)
    if args.all_leave_one_out:
        orders = {}
        for table in tables:
            others = [other for other in tables if other is not table]
            orders[table.name] = learner.order(others)
            write(args.all_leave_one_out / f"{table.name}.json", orders[table.name], others)
        compare(tables, orders, configuration_names())


if __name__ == "__main__":
    main()

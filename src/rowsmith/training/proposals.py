"""What to try next: the portfolio first, then tuning around the winners.

Tuning uses Optuna's TPE (Bergstra et al. 2011) by ask and tell, one study for each family, kept in memory. The
best family gets two turns of three, the next best ones share the third.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rowsmith.training.arithmetic import JOINED
from rowsmith.training.data import Shape
from rowsmith.training.families.base import Choice, Family, Params, Real, Space, Whole
from rowsmith.training.trials import Run, Status
from rowsmith.types import Array

STARTUP_TRIALS = 6
FASTEST = 0.2
"""The largest learning rate that is taken to save time."""
LEAST_ROWS = 2000
LONG_TAIL = 0.8
"""Skewness from which a logarithm is tried."""
CARRIED = ("log_target", "arithmetic")
"""What every family can do; tuning keeps to what the best of its trials did."""
LOGARITHMIC = frozenset({"rmsle"})
BEFORE_THE_SCOUT = 2
"""Proposals between a configuration and the same one with arithmetic."""
CLEARLY = 0.002
"""Of the error, by which arithmetic has to be better: it takes time, and may be nothing but luck."""
TURNS = 3
REPEATED = 5
"""The best configurations that are tried again on other folds."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to try, on the folds of number `repeat`.

    `name` is `family/configuration` for one of a portfolio. `ask` is what the tuner wants to be told the result of,
    None for what it did not propose.
    """

    family: Family
    params: Params
    ask: Any = None
    repeat: int = 0
    name: str = ""


def interleave(families: Sequence[Family], shape: Shape) -> list[Proposal]:
    """First the first configuration of every family, then the second of every one, and so on."""
    lists = [
        [Proposal(family, params, name=f"{family.name}/{name}") for name, params in family.portfolio(shape).items()]
        for family in families
    ]
    longest = max((len(found) for found in lists), default=0)
    return [found[i] for i in range(longest) for found in lists if i < len(found)]


def with_logarithms(proposals: Sequence[Proposal], target: Array, metric: str) -> list[Proposal]:
    """Configurations that learn log(1 + y), where that may suit the target of a regression better.

    For a metric of logarithms every configuration does; for a target that is nowhere negative and has a long tail
    each family's first configuration is tried both ways.
    """
    if metric in LOGARITHMIC and target.min() >= 0:
        return [replace(proposal, params={**proposal.params, "log_target": True}) for proposal in proposals]
    if not has_long_tail(target):
        return list(proposals)
    seen: set[str] = set()
    both = []
    for proposal in proposals:
        both.append(proposal)
        if proposal.family.name not in seen:
            seen.add(proposal.family.name)
            both.append(replace(proposal, params={**proposal.params, "log_target": True}))
    return both


def logarithms_lose(runs: Sequence[Run]) -> bool:
    """Whether every configuration that has been tried both ways is worse with the logarithm.

    What the target looks like is much the same for all families, so the quick ones answer for those that take long.
    """
    pairs = _tried_both_ways(runs, "log_target")
    return bool(pairs) and all(changed > plain for plain, changed in pairs)


def arithmetic_pays(runs: Sequence[Run]) -> bool:
    """Whether every configuration that has been tried both ways is clearly better with arithmetic of numbers.

    Which pairs of numbers mean something is a matter of the table, much the same for all families.
    """
    pairs = _tried_both_ways(runs, "arithmetic")
    return bool(pairs) and all(changed < plain - CLEARLY * abs(plain) for plain, changed in pairs)


def with_arithmetic(proposal: Proposal) -> Proposal:
    """The configuration, looking at pairs of numbers as well."""
    return replace(proposal, params={**proposal.params, "arithmetic": JOINED})


def with_a_scout(proposals: Sequence[Proposal]) -> list[Proposal]:
    """The first configuration of a quick family is tried both ways, so that it tells the others (`arithmetic_pays`).

    Not at once: where there is time for a few trials alone, they had better be of several families.
    """
    for i, proposal in enumerate(proposals):
        if proposal.family.quick is not None:
            place = i + 1 + BEFORE_THE_SCOUT
            return [*proposals[:place], with_arithmetic(proposal), *proposals[place:]]
    return list(proposals)


def _tried_both_ways(runs: Sequence[Run], setting: str) -> list[tuple[float, float]]:
    """The errors of configurations that differ in one setting alone: without it, and with it."""
    errors: dict[str, dict[bool, float]] = {}
    for run in runs:
        if np.isfinite(run.estimate):
            others = {name: value for name, value in run.params.items() if name != setting}
            key = json.dumps([run.family, others, run.repeat], sort_keys=True)
            errors.setdefault(key, {})[bool(run.params.get(setting))] = run.estimate
    return [(both[False], both[True]) for both in errors.values() if len(both) == 2]


def has_long_tail(target: Array) -> bool:
    """Nowhere negative, skewed to the right, and less skewed as a logarithm."""
    if target.min() < 0 or target.max() == target.min():
        return False
    skew, skew_of_log = _skewness(target), _skewness(np.log1p(target))
    return skew > LONG_TAIL and abs(skew_of_log) < skew


def _skewness(values: Array) -> float:
    largest = np.abs(values).max()
    centred = values / largest - (values / largest).mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean()) / spread**3 if spread > 0 else 0.0


def in_a_hurry(proposal: Proposal, rows: int, factor: float) -> Proposal | None:
    """The configuration made `factor` times cheaper: larger steps in boosting, then fewer rows.

    `rows` is how many a fit would have. None where too few would be left.
    """
    params = dict(proposal.params)
    if "learning_rate" in params:
        faster = min(max(FASTEST, params["learning_rate"]), params["learning_rate"] * factor)
        factor /= faster / params["learning_rate"]
        params["learning_rate"] = faster
    if factor > 1.0:
        params["rows"] = int(min(params.get("rows", rows), rows) / factor)
        if params["rows"] < LEAST_ROWS:
            return None
    return replace(proposal, params=params)


class Tuner:
    """Proposes configurations near those that did well. Its answers depend on the seed and on what it was told."""

    def __init__(self, families: Sequence[Family], shape: Shape, seed: int, *, repeats: int = 0) -> None:
        self._families = {family.name: family for family in families}
        self._shape = shape
        self._seed = seed
        self._studies: dict[str, Any] = {}
        self._best: dict[str, float] = {}
        self._ours: dict[str, Params] = {}
        self._turn = 0
        self._repeats = repeats
        self._known: list[Run] = []
        self._repeated: set[tuple[int, int]] = set()

    def tell(self, run: Run, ask: Any) -> None:
        """The result of a trial; one without an estimate counts as failed."""
        import optuna

        if run.repeat:
            return
        family = self._families[run.family]
        if run.status is Status.OK:
            self._known.append(run)
        if run.error < self._best.get(run.family, float("inf")):
            self._best[run.family] = run.error
            self._ours[run.family] = {name: run.params[name] for name in CARRIED if name in run.params}
        study = self._study(family)
        failed = run.estimate == float("inf")
        if ask is not None:
            state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
            study.tell(ask, None if failed else run.estimate, state=state)
            return
        distributions = _distributions(family.space(self._shape))
        inside = {
            name: run.params[name]
            for name, distribution in distributions.items()
            if name in run.params and distribution._contains(distribution.to_internal_repr(run.params[name]))
        }
        # TPE models all settings together, and cannot use a trial that lacks some.
        if not failed and len(inside) == len(distributions):
            study.add_trial(optuna.trial.create_trial(params=inside, distributions=distributions, value=run.estimate))

    def ask(self, *, may_repeat: bool = False) -> Proposal | None:
        """The next configuration, None where no family has succeeded that can be tuned.

        Where there are further sets of folds every second one is a good one again, on other folds: on a small table
        the bag of both is worth more than the next setting.
        """
        turn, self._turn = self._turn, self._turn + 1
        if may_repeat and turn % 2 and (again := self._again()) is not None:
            return again
        ranked = sorted(
            (name for name in self._best if self._best[name] < float("inf")), key=lambda name: (self._best[name], name)
        )
        ranked = [name for name in ranked if self._families[name].space(self._shape)]
        if not ranked:
            return None
        if turn % TURNS < TURNS - 1 or len(ranked) == 1:
            family = self._families[ranked[0]]
        else:
            family = self._families[ranked[1 + (turn // TURNS) % (min(len(ranked), 3) - 1)]]
        trial = self._study(family).ask(_distributions(family.space(self._shape)))
        middle = next(iter(family.portfolio(self._shape).values()))
        return Proposal(family, {**middle, **self._ours[family.name], **trial.params}, trial)

    def _again(self) -> Proposal | None:
        ranked = _the_best_of_each_family_first([run for run in self._known if not run.refit])[:REPEATED]
        for repeat in range(1, self._repeats + 1):
            for run in ranked:
                if (run.id, repeat) not in self._repeated:
                    self._repeated.add((run.id, repeat))
                    return Proposal(self._families[run.family], run.params, repeat=repeat)
        return None

    def _study(self, family: Family) -> Any:
        if family.name not in self._studies:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            position = sorted(self._families).index(family.name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.TPESampler(
                    seed=self._seed + position, multivariate=True, n_startup_trials=STARTUP_TRIALS
                )
            self._studies[family.name] = optuna.create_study(sampler=sampler)
        return self._studies[family.name]


def _the_best_of_each_family_first(runs: Sequence[Run]) -> list[Run]:
    ranked = sorted(runs, key=lambda run: (run.error, run.id))
    places: dict[int, int] = {}
    seen: dict[str, int] = {}
    for run in ranked:
        places[run.id] = seen[run.family] = seen.get(run.family, -1) + 1
    return sorted(ranked, key=lambda run: places[run.id])


def _distributions(space: Space) -> dict[str, Any]:
    import optuna

    made: dict[str, Any] = {}
    for name, choice in space.items():
        match choice:
            case Real(low, high, log):
                made[name] = optuna.distributions.FloatDistribution(low, high, log=log)
            case Whole(low, high, log):
                made[name] = optuna.distributions.IntDistribution(low, high, log=log)
            case Choice(values):
                made[name] = optuna.distributions.CategoricalDistribution(values)
    return made

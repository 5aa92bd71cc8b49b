"""The search: one loop that spends the budget. Portfolio first, then tuning; races drop what cannot help.

Work without a clock (`max_trials` alone) is repeatable: what is tried and what is dropped then depends only on
trials that are at least `LAG` older, never on which worker was faster.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rowsmith.errors import TrainingError
from rowsmith.recipe import TrainSection
from rowsmith.training.arithmetic import can_join
from rowsmith.training.budget import Clock, Plan, Prices, first_rows, fold_shape, lay_out
from rowsmith.training.choice import bags_of, choose
from rowsmith.training.data import TrainingData, covered_rows
from rowsmith.training.ensemble import Effort
from rowsmith.training.executor import InProcessExecutor, Workplace
from rowsmith.training.families import FAMILIES, find_family
from rowsmith.training.families.adapters import Constant
from rowsmith.training.families.base import Family
from rowsmith.training.families.constant import FAMILY as CONSTANT
from rowsmith.training.families.lightgbm import MIDDLE
from rowsmith.training.finish import TrainingResult, finish
from rowsmith.training.last_resort import is_hopeless, is_tiny, last_resort
from rowsmith.training.objective import Objective
from rowsmith.training.portfolio import in_order
from rowsmith.training.proposals import (
    Proposal,
    Tuner,
    arithmetic_pays,
    in_a_hurry,
    logarithms_lose,
    with_a_scout,
    with_arithmetic,
    with_logarithms,
)
from rowsmith.training.race import Race
from rowsmith.training.refit import Waiting, expected_seconds, refit, take
from rowsmith.training.refits_beside import RefitsBeside
from rowsmith.training.supervisor import Outcome, Supervisor
from rowsmith.training.trials import Run, Status
from rowsmith.training.unit import ALL_ROWS, Unit, UnitResult, seed_of
from rowsmith.types import Metric, OnProgress, Progress, Scores2D, Task, no_progress

LAG = 4
"""A decision about trial n may use what trials up to n - LAG showed. Also the most trials under way at once."""
LARGEST_SHARE = 0.4
"""Of the time left that one trial may take at most, once there is a model."""
KEPT = 24
ASKS = 8
"""How often the tuner is asked for something that still fits into the time."""
COARSEST = 4.0
"""How many times cheaper a proposal is made, at most, to fit into what is left."""
POLL_SECONDS = 0.5
SELECTION_CALLS = 120
REFIT_FOLDS = 1.25
"""The time of a refit, in folds."""
SHORTEST = 0.01
"""Of the whole time: with less left no trial is started."""
LATE = 1.25
"""A unit that has taken longer than expected is expected to take so many times what it took."""
TRIAL_SHARE = 0.3
"""Of the time, that one ordinary trial may take; with more it runs on fewer folds."""


def run_search(
    data: TrainingData,
    metric: Metric,
    options: TrainSection,
    *,
    deadline: float | None = None,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
    work_dir: Path | None = None,
    threshold_metric: Metric | None = None,
) -> TrainingResult:
    """The best ensemble that can be had before `deadline` (time.monotonic), or from `options.max_trials` trials.

    Args:
        data: encoded rows and folds.
        metric: what to optimise.
        options: the recipe's choices; `seconds` is not read here, `deadline` counts.
        deadline: this call returns before it. None: exactly `max_trials` trials, the same ones every time.
        executor: where units of work run; local processes (in this process for tiny tables) when None.
        on_progress: called about twice a second and after each trial.
        work_dir: an existing folder for temporary files; the system's when None. Nothing is left in it.
        threshold_metric: what the threshold of a binary task optimises; `metric` where it is one of labels, else
            balanced accuracy when None.

    Raises:
        TrainingError: no model could be made; says why.
        RecipeError: `options.families` names one that does not exist.
    """
    data.check()
    families = [find_family(name) for name in options.families] or list(FAMILIES)
    if data.matrix.shape[1] == 0 or len(np.unique(data.target)) == 1:
        families = [CONSTANT]
    if deadline is None and options.max_trials is None:
        raise TrainingError("a search needs an end", allowed="a deadline, max_trials, or both")
    clock = Clock(deadline)
    plan = lay_out(data, options, clock.left, find_family("lightgbm"), MIDDLE)
    if executor is None and is_tiny(data, clock):
        executor = InProcessExecutor()
        if is_hopeless(data, families, clock):
            # Work in this process cannot be ended from outside; a constant in time is better than a model too late.
            families = [CONSTANT]
        plan = replace(plan, workers=1, threads=1)
    objective = Objective(metric, data)
    data.digest  # noqa: B018  # what the journal names its input by: before the search, while there is time
    with Workplace(data, workers=plan.workers, threads=plan.threads, executor=executor, work_dir=work_dir) as workplace:
        supervisor = Supervisor(workplace)
        search = Search(data, objective, families, options, plan, clock, supervisor, on_progress)
        runs = search.run()
        folds = search.folds
        if not any(run.status is Status.OK for run in runs):
            folds = last_resort(data, objective, search.folds, runs)
        on_progress(Progress("train", "choosing the ensemble", clock.fraction, search.best_score))
        effort = search.effort()
        choice = choose(data, objective, runs, options, effort, folds)
        on_progress(Progress("train", "learning from all rows", clock.fraction, search.best_score))
        until = search.end_of_refits()
        refit(choice, data, supervisor, seed=options.seed, absolute=objective.absolute, until=until)
    if threshold_metric is None and metric.needs == "labels":
        threshold_metric = metric
    return finish(data, objective, runs, choice, options, effort, folds=folds, threshold_metric=threshold_metric)


class Search:
    """The state of one search."""

    def __init__(
        self,
        data: TrainingData,
        objective: Objective,
        families: Sequence[Family],
        options: TrainSection,
        plan: Plan,
        clock: Clock,
        supervisor: Supervisor,
        on_progress: OnProgress,
    ) -> None:
        self._data = data
        self._objective = objective
        self._options = options
        self._plan = plan
        self._clock = clock
        self._supervisor = supervisor
        self._on_progress = on_progress
        self._shape = fold_shape(data)
        self._prices = Prices()
        proposals = in_order(families, self._shape, options.portfolio)
        if data.task is Task.REGRESSION:
            proposals = with_logarithms(proposals, data.target, objective.metric.name)
        if can_join(data.features, self._shape):
            proposals = with_a_scout(proposals)
        self._portfolio = self._first_and(proposals)
        self._tuner = Tuner(families, self._shape, options.seed, repeats=data.usable_repeats)
        self._runs: list[Run] = []
        self._asks: dict[int, Any] = {}
        self._told = 0
        self._oof: dict[int, Scores2D] = {}
        self._start_race()
        self._metric_seconds = 0.0
        self._refits = RefitsBeside(data, objective, options, clock)

    # -- the loop ------------------------------------------------------------------------------------------

    def run(self) -> list[Run]:
        """Every trial, in the order of their start."""
        try:
            while not self._clock.is_over:
                self._fill()
                if self._supervisor.is_idle:
                    break
                for outcome in self._supervisor.collect(self._patience()):
                    self._take(outcome)
                self._report()
        finally:
            self._supervisor.stop()
        for run in self._open():
            run.status, run.message = Status.STOPPED, "the time was up"
        return self._runs

    @property
    def best_score(self) -> float | None:
        done = [run for run in self._runs if run.status is Status.OK]
        return min(done, key=lambda run: run.error).score if done else None

    def effort(self) -> Effort:
        """What choosing the ensemble may cost, by the time one evaluation of the metric took."""
        if self._clock.deadline is None:
            return Effort()
        left = max(self._clock.deadline - time.monotonic(), 0.05)
        affordable = 0.5 * left / max(self._metric_seconds * self._selected_share, 1e-6)
        steps = 12
        small = len(self._rows) <= 5000
        candidates = int(np.clip(affordable / (steps * (4 if small else 1)), 2, KEPT))
        most = Effort().rows
        rows = int(np.clip(most * affordable / (steps * candidates), min(most, 2000), most))
        return Effort(candidates=candidates, rows=rows)

    def end_of_refits(self) -> float | None:
        """By when (time.monotonic) refits must have ended; what is left then is for the very end."""
        deadline = self._clock.deadline
        return None if deadline is None else deadline - self._clock.closing / 2

    # -- what runs next ------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._supervisor.has_room and not self._clock.is_over:
            waiting = self._waiting_refits()
            unit = self._next_unit() or self._refits.next_unit(waiting)
            if unit is None:
                return
            self._supervisor.start(unit)

    def _next_unit(self) -> Unit | None:
        """The oldest open trial's next fold; a new trial where none of them can go on."""
        for run in self._open():
            if (fold := self._next_fold(run)) is not None and self._fits(run):
                return self._unit(run, fold)
        opened = self._propose()
        return self._unit(opened, 0) if opened else None

    def _next_fold(self, run: Run) -> int | None:
        waiting = [fold for fold in range(run.folds) if fold not in run.seeds]
        if not waiting or (waiting[0] not in range(self._race.folds) and not self._has_raced(run)):
            return None
        return waiting[0]

    def _has_raced(self, run: Run) -> bool:
        return all(fold in run.results for fold in range(self._race.folds))

    def _fits(self, run: Run) -> bool:
        """Whether one more fold of it can end in time."""
        left = self._clock.left
        return left is None or not self._oof or self._expected_seconds(run) <= left

    def _expected_seconds(self, run: Run) -> float:
        """Of one fold."""
        if run.results:
            return float(np.mean([result.seconds for result in run.results.values()]))
        return self._prices.guess(find_family(run.family), self._shape, run.params)

    def _unit(self, run: Run, fold: int) -> Unit:
        seed = run.seeds[fold] = seed_of(self._options.seed, run.id, fold)
        return Unit(
            trial=run.id,
            family=run.family,
            params=run.params,
            fold=fold,
            repeat=run.repeat,
            seed=seed,
            threads=self._plan.threads,
            seconds=self._allowance(run),
            absolute=self._objective.absolute,
        )

    def _allowance(self, run: Run) -> float | None:
        """Seconds for the trial's next unit, so that all its units end in time."""
        left = self._clock.left
        if left is None:
            return None
        if run.deadline is None:
            run.deadline = time.monotonic() + left * (LARGEST_SHARE if self._oof else 0.9)
        units_left = run.folds - len(run.results)
        waves = max(-(-units_left // self._plan.workers), 1)
        share = (min(left, run.deadline - time.monotonic())) / waves
        # A trial that turns out slower than its share may go on while there is time: folds that are cut short where
        # others were not spoil its answers.
        slowest = max((result.seconds for result in run.results.values()), default=0.0)
        return max(share, min(0.9 * left / waves, 1.5 * slowest), 0.05)

    def _propose(self) -> Run | None:
        """Open a new trial, if there is one that can still end in time."""
        number = len(self._runs)
        if self._options.max_trials is not None and number >= self._options.max_trials:
            return None
        if self._oof and self._clock.left is not None and self._clock.left < 3.0 * SHORTEST * self._clock.third:
            return None
        if len(self._open()) >= LAG or (self._is_repeatable and self._unfinished_before(number - LAG + 1)):
            return None
        while self._portfolio:
            proposal = self._portfolio.pop(0)
            known = self._known_by(number)
            if proposal.params.get("log_target") and logarithms_lose(known):
                continue
            if proposal.family.cuts and arithmetic_pays(known):
                proposal = with_arithmetic(proposal)
            if (factor := self._excess(proposal)) <= 1.0:
                return self._open_run(number, proposal)
            # A good model of less is better than none: until there is one, what is too dear is made cheaper.
            most = np.inf if len(self._runs) == 1 else COARSEST
            if factor <= most and (cheaper := in_a_hurry(proposal, self._shape.rows, factor)) is not None:
                return self._open_run(number, cheaper)
        self._tell_tuner(number - LAG if self._is_repeatable else number)
        for _ in range(ASKS):
            tuned = self._tuner.ask(may_repeat=self._plan.folds == len(self._data.folds))
            if tuned is None:
                return None
            if (factor := self._excess(tuned)) <= 1.0:
                return self._open_run(number, tuned)
            # Towards the end: a coarser version, which tells the tuner nothing.
            if factor <= COARSEST and (coarse := in_a_hurry(replace(tuned, ask=None), self._shape.rows, factor)):
                return self._open_run(number, coarse)
        return None

    def _open_run(self, number: int, proposal: Proposal) -> Run:
        params = dict(proposal.params)
        if self._plan.rows is not None:
            params["rows"] = min(params.get("rows", self._plan.rows), self._plan.rows)
        run = Run(
            id=number,
            family=proposal.family.name,
            params=params,
            folds=self._plan.folds,
            threads=self._plan.threads,
            refit=self._plan.refit or proposal.family.refit,
            repeat=proposal.repeat,
        )
        self._runs.append(run)
        self._asks[number] = proposal.ask
        return run

    def _excess(self, proposal: Proposal) -> float:
        """How many times what it may take a trial is expected to take."""
        left = self._clock.left
        if left is None or not self._runs:
            return 0.0
        price = self._prices.guess(proposal.family, self._shape, proposal.params)
        waves = -(-self._plan.folds // self._plan.workers)
        raced = -(-self._race.folds // self._plan.workers)
        others = -(-(self._plan.folds - self._race.folds) // self._plan.workers)
        # The first trial after the quick one is worth most of the time, and so is the last one.
        share = 0.8 if len(self._runs) == 1 or not self._portfolio else LARGEST_SHARE
        # The other folds wait for those of the race, and the refit for all of them: what ends too late for that is
        # worth less than a coarser trial with a model of all rows.
        refit = REFIT_FOLDS if self._plan.refit and self._oof else 0.0
        return price * max(waves / share, raced + others + refit) / max(left, 1e-9)

    def _first_and(self, proposals: list[Proposal]) -> list[Proposal]:
        """A first trial of which a model comes within a second or two, then the others."""
        quick = next((p.family for p in proposals if p.family.quick is not None), None)
        if quick is None or quick.quick is None:
            return proposals
        params = dict(quick.quick)
        if self._clock.deadline is not None and (rows := first_rows(self._data, quick, params)) is not None:
            params["rows"] = rows
        return [Proposal(quick, params), *proposals]

    # -- refits --------------------------------------------------------------------------------------------

    def _waiting_refits(self) -> list[Waiting]:
        """Those that the other workers leave to the next one, or could; the time it has for trials is set by them."""
        if self._clock.room is None:
            return []
        self._refits.look(self._runs, self.effort(), self.folds)
        under_way = [self._still_takes(unit, seconds) for unit, seconds in self._supervisor.under_way]
        return self._refits.waiting(under_way, self._plan.workers)

    def _still_takes(self, unit: Unit, seconds: float) -> float:
        """Seconds that a unit is expected to go on for."""
        run = self._runs[unit.trial]
        of_all_rows = unit.fold == ALL_ROWS and run.is_complete
        expected = expected_seconds(run, self._data) if of_all_rows else self._expected_seconds(run)
        most = np.inf if unit.seconds is None else unit.seconds
        return max(min(max(expected, LATE * seconds), most) - seconds, 0.0)

    # -- what came back ------------------------------------------------------------------------------------

    def _take(self, outcome: Outcome) -> None:
        run = self._runs[outcome.unit.trial]
        if outcome.unit.fold == ALL_ROWS:
            take(run, outcome)
            return
        if run.status is not None:
            return
        if outcome.result is None:
            run.status, run.message = Status.FAILED, outcome.message
            run.results.clear()
            return
        self._take_result(run, outcome.unit, outcome.result)

    def _take_result(self, run: Run, unit: Unit, result: UnitResult) -> None:
        run.results[unit.fold] = result
        run.seconds += result.seconds
        cut_short = unit.seconds is not None and result.seconds > 0.9 * unit.seconds
        self._prices.learn(find_family(run.family), self._shape, run.params, result.seconds, at_least=cut_short)
        if run.is_complete:
            self._complete(run)
        elif len(run.results) == self._race.folds and self._has_raced(run):
            self._judge(run)

    def _judge(self, run: Run) -> None:
        self._race.advance(self._runs, self._oof)
        verdict = self._race.verdict(run, run.id - LAG if self._is_repeatable else self._race.latest)
        if not verdict.can_help:
            run.status, run.message = Status.PRUNED, "its first folds showed that it cannot help the others"
            run.estimate = verdict.estimate
            run.results.clear()

    def _complete(self, run: Run) -> None:
        begin = time.monotonic()
        oof = run.measure(self._data, self._objective)
        # measure() asks for error, score and every fold's score: about three times over all rows.
        self._metric_seconds = max(self._metric_seconds, (time.monotonic() - begin) / 3.0)
        if run.status is Status.OK:
            run.estimate = run.error
            self._oof[run.id] = oof
            self._race.advance(self._runs, self._oof)
            self._forget_hopeless()
        self._clock.set_aside(0.25 + self._metric_seconds * (3 + SELECTION_CALLS * self._selected_share))
        if run.id == 0 and self._clock.deadline is not None:
            self._replan()

    def _replan(self) -> None:
        """Fewer folds from now on, where the first trial tells that whole trials would not fit into the time."""
        left = self._clock.left
        if left is None or not self._portfolio:
            return
        main = self._portfolio[0]
        price = max(self._prices.guess(main.family, self._shape, main.params), 1e-9)
        waves = int(TRIAL_SHARE * left / price)
        folds = min(max(waves, 1) * self._plan.workers, self._plan.folds)
        if folds == self._plan.folds:
            return
        self._plan = replace(self._plan, folds=folds)
        for run in self._runs:
            run.folds = folds
            run.results = {fold: result for fold, result in run.results.items() if fold < folds}
            if run.is_complete:
                self._oof[run.id] = run.measure(self._data, self._objective)
        self._start_race()

    def _start_race(self) -> None:
        self._rows = covered_rows(self._data, self._plan.folds)
        answer = Constant.of(self._data.target, self._data.weights, self._data.classes)
        error = self._objective.error(answer.predict(np.zeros((len(self._rows), 0), dtype=np.float32)), self._rows)
        self._race = Race(self._data, self._objective, self._plan.folds, error if np.isfinite(error) else 0.0)

    @property
    def _selected_share(self) -> float:
        """Of the rows, that the choice of the ensemble looks at."""
        return min(1.0, Effort().rows / max(len(self._rows), 1))

    def _forget_hopeless(self) -> None:
        """Free the learners and answers of runs that the ensemble will not look at."""
        kept = {run.id for bag in bags_of(self._runs, KEPT) for run in bag.runs}
        for run in self._runs:
            if run.id in self._oof and run.id not in kept:
                del self._oof[run.id]
                run.results.clear()

    # -- the rest ------------------------------------------------------------------------------------------

    @property
    def _is_repeatable(self) -> bool:
        return self._clock.deadline is None

    def _open(self) -> list[Run]:
        return [run for run in self._runs if run.status is None]

    def _known_by(self, number: int) -> list[Run]:
        """The trials whose results a decision about that trial may use."""
        return self._runs[: max(number - LAG + 1, 0)] if self._is_repeatable else self._runs

    def _unfinished_before(self, number: int) -> bool:
        return any(run.status is None for run in self._runs[: max(number, 0)])

    def _tell_tuner(self, newest: int) -> None:
        while self._told < len(self._runs) and self._told <= newest and self._runs[self._told].status is not None:
            run = self._runs[self._told]
            self._tuner.tell(run, self._asks[run.id])
            self._told += 1

    def _patience(self) -> float:
        left = self._clock.left
        return POLL_SECONDS if left is None else min(POLL_SECONDS, left + 0.01)

    def _report(self) -> None:
        open_runs = self._open()
        done = sum(run.status is Status.OK for run in self._runs)
        message = f"{done} models" + (f", trying {open_runs[0].family}" if open_runs else "")
        fraction = self._clock.fraction
        if fraction is None and self._options.max_trials:
            fraction = sum(run.status is not None for run in self._runs) / self._options.max_trials
        self._on_progress(Progress("train", message, fraction, self.best_score, self._clock.left))

    @property
    def folds(self) -> int:
        """How many folds each trial ran."""
        return self._plan.folds

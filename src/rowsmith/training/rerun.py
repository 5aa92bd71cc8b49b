"""Replay: the units of a journal once more, for the same bytes."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from rowsmith.errors import TrainingError
from rowsmith.recipe import TrainSection
from rowsmith.training.budget import available_cores
from rowsmith.training.choice import choose
from rowsmith.training.data import TrainingData
from rowsmith.training.executor import Workplace
from rowsmith.training.finish import TrainingResult, finish
from rowsmith.training.journal import Entry, Journal
from rowsmith.training.objective import Objective
from rowsmith.training.supervisor import Supervisor
from rowsmith.training.trials import Run
from rowsmith.training.unit import Unit
from rowsmith.types import Metric, OnProgress, Progress, no_progress


def replay(
    data: TrainingData,
    journal: Journal,
    metric: Metric,
    options: TrainSection,
    *,
    executor: Executor | None = None,
    on_progress: OnProgress = no_progress,
    work_dir: Path | None = None,
    threshold_metric: Metric | None = None,
) -> TrainingResult:
    """The result that a search gave, from its journal: same data, same libraries, same bytes.

    It takes the time that the units of the ensemble's candidates took; there is no deadline. The leaderboard holds
    those trials alone. A unit that comes out differently is reported as progress, and the rest goes on.

    Raises:
        TrainingError: the data or the metric is not the journal's, or a unit fails that once succeeded.
    """
    if journal.data != data.digest or journal.metric != metric.name or journal.seed != options.seed:
        raise TrainingError(
            "this journal is of other data, another metric or another seed",
            received=f"data {data.digest[:12]}, metric {metric.name}, seed {options.seed}",
            allowed=f"data {journal.data[:12]}, metric {journal.metric}, seed {journal.seed}",
        )
    runs = _rerun(data, journal, options, executor, on_progress, work_dir)
    objective = Objective(metric, data)
    for run in runs:
        run.measure(data, objective)
    choice = choose(data, objective, runs, options, journal.effort, journal.folds)
    return finish(
        data,
        objective,
        runs,
        choice,
        options,
        journal.effort,
        folds=journal.folds,
        threshold_metric=threshold_metric,
    )


def _rerun(
    data: TrainingData,
    journal: Journal,
    options: TrainSection,
    executor: Executor | None,
    on_progress: OnProgress,
    work_dir: Path | None,
) -> list[Run]:
    runs = _planned(journal)
    expected = {(entry.trial, entry.fold): entry.result for entry in journal.entries}
    waiting = list(journal.entries)
    threads = max((entry.threads for entry in waiting), default=1)
    workers = max((options.cores or available_cores()) // threads, 1)
    with Workplace(data, workers=workers, threads=threads, executor=executor, work_dir=work_dir) as workplace:
        supervisor = Supervisor(workplace)
        while waiting or not supervisor.is_idle:
            while waiting and supervisor.has_room:
                supervisor.start(_unit(waiting.pop(0)))
            for outcome in supervisor.collect(None):
                unit, result = outcome.unit, outcome.result
                if result is None:
                    raise TrainingError(f"trial {unit.trial}, fold {unit.fold} cannot be repeated: {outcome.message}")
                runs[unit.trial].results[unit.fold] = result
                same = result.digest == expected.pop((unit.trial, unit.fold))
                message = f"trial {unit.trial}, fold {unit.fold}: {'the same' if same else 'DIFFERENT'}"
                on_progress(Progress("train", message, 1 - len(expected) / len(journal.entries)))
    return [runs[trial] for trial in sorted(runs)]


def _planned(journal: Journal) -> dict[int, Run]:
    """The trials of the journal, without their results."""
    runs: dict[int, Run] = {}
    for entry in journal.entries:
        run = runs.setdefault(
            entry.trial,
            Run(
                id=entry.trial,
                family=entry.family,
                params=entry.params,
                folds=journal.folds,
                threads=entry.threads,
                refit=entry.refit,
                repeat=entry.repeat,
            ),
        )
        run.seeds[entry.fold] = entry.seed
    return runs


def _unit(entry: Entry) -> Unit:
    return Unit(
        trial=entry.trial,
        family=entry.family,
        params=entry.params,
        fold=entry.fold,
        repeat=entry.repeat,
        seed=entry.seed,
        threads=entry.threads,
        rounds=entry.rounds,
        absolute=entry.absolute,
    )

"""The whole life of a model: run, predict, label, monitor, retrain, promote, roll back, verify."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import (
    ChecksFailed,
    DataError,
    GateRefused,
    NotFoundError,
    RecipeError,
    SchemaError,
    UsageError,
)
from rowsmith.recipe import Recipe
from rowsmith.types import Progress
from rowsmith.workflows.artifact import load
from rowsmith.workflows.deploy import deploy
from rowsmith.workflows.ingest import ingest
from rowsmith.workflows.monitor import alert, label, monitor
from rowsmith.workflows.predict import predict_source
from rowsmith.workflows.project import Project, open_project
from rowsmith.workflows.promote import promote, rollback
from rowsmith.workflows.reading import take
from rowsmith.workflows.retrain import retrain
from rowsmith.workflows.run import Outcome, run
from rowsmith.workflows.train import train
from rowsmith.workflows.verify import verify
from tests.workflows.conftest import loans


@pytest.fixture
def outcome(project: Project, executor: Executor) -> Outcome:
    return run(project, executor=executor)


def test_run_ends_with_a_champion_and_a_full_folder(project: Project, outcome: Outcome) -> None:
    assert outcome.promoted, outcome.gates
    assert project.version("champion").number == outcome.version.number == 1
    names = {path.name for path in outcome.folder.iterdir()}
    assert names >= {
        "model",
        "evaluation.json",
        "report.html",
        "card.md",
        "reference.json",
        "provenance.json",
        "journal.jsonl",
    }
    assert 0.6 < outcome.evaluation.score_of("roc_auc") < 0.95
    assert outcome.version.snapshot_id == outcome.snapshot.id


def test_same_work_gives_the_same_model(project: Project, outcome: Outcome, executor: Executor) -> None:
    again = run(project, executor=executor)
    assert again.snapshot.id == outcome.snapshot.id
    assert again.version.artifact_hash == outcome.version.artifact_hash


def test_files_rows_and_frames_agree_to_the_last_bit(
    project: Project, outcome: Outcome, tmp_path: Path, table: pl.DataFrame
) -> None:
    deployed = deploy(project, outcome.version)
    expected = deployed.model.predict_frame(table)
    predict_source(deployed, tmp_path / "loans.csv", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(expected)
    predict_source(deployed, tmp_path / "loans.csv", tmp_path / "out.csv", keep_inputs=True)
    kept = pl.read_csv(tmp_path / "out.csv")
    assert kept["probability_yes"].to_list() == expected["probability_yes"].to_list()
    assert kept["purpose"].to_list() == table["purpose"].to_list()
    for i, row in enumerate(table.head(50).to_dicts()):
        answer = deployed.model.predict_row(row)
        assert answer.probabilities is not None
        assert answer.value == expected["prediction"][i]
        assert answer.probabilities["yes"] == expected["probability_yes"][i]


def test_a_failed_prediction_leaves_nothing(project: Project, outcome: Outcome, tmp_path: Path) -> None:
    loans(20).drop("age").write_csv(tmp_path / "short.csv")
    before = set(tmp_path.iterdir())
    with pytest.raises(SchemaError, match="age"):
        predict_source(deploy(project, outcome.version), tmp_path / "short.csv", tmp_path / "out.csv")
    assert set(tmp_path.iterdir()) == before


def test_drift_shows_in_the_right_column_and_labels_give_live_scores(
    project: Project, outcome: Outcome, tmp_path: Path
) -> None:
    drifted = loans(400, seed=5, shift=0.8)
    drifted.drop("default").write_csv(tmp_path / "new.csv")
    deployed = deploy(project, outcome.version)
    predict_source(deployed, tmp_path / "new.csv", tmp_path / "scored.parquet", log=project.log)
    report = monitor(project)
    drifted_columns = {item.column for window in report.windows for item in window.drift if item.drifted}
    assert "income" in drifted_columns
    assert not drifted_columns & {"age", "purpose", "opened"}

    scored = pl.read_parquet(tmp_path / "scored.parquet")
    labels = pl.DataFrame({"id": scored["id"], "label": drifted["default"]})
    labels.write_csv(tmp_path / "labels.csv")
    assert label(project, tmp_path / "labels.csv").added == 400
    live = [score for window in monitor(project).windows for score in window.scores if score.metric == "roc_auc"]
    assert live and all(0.4 < score.value < 1 for score in live)


def test_a_file_can_be_monitored_without_the_log(project: Project, outcome: Outcome) -> None:
    report = monitor(project, loans(300, seed=7))
    assert report.rows == 300
    assert not any(item.drifted for window in report.windows for item in window.drift)


def test_retraining_challenges_the_champion_on_rows_that_neither_has_learned(
    project: Project, outcome: Outcome, executor: Executor
) -> None:
    second = retrain(project, loans(500, seed=11), append=True, executor=executor).outcome
    assert second is not None
    assert second.snapshot.rows == 1100
    assert second.challenge.champion is not None and second.challenge.champion.number == 1
    assert second.challenge.comparison is not None
    # A fifth of the old rows were sealed then and a fifth of all are sealed now; the champion learned the others.
    assert 100 <= second.challenge.rows < 220
    assert second.version.number == 2


def test_retraining_without_rows_reads_the_source_again(
    project: Project, outcome: Outcome, executor: Executor, tmp_path: Path
) -> None:
    idle = retrain(project, executor=executor)
    assert idle.outcome is None and idle.known_to is not None and idle.known_to.number == 1
    assert idle.read.snapshot == outcome.snapshot
    with pytest.raises(UsageError, match="--append"):
        retrain(project, append=True)
    newer = pl.concat([loans(), loans(100, seed=11)])
    newer.write_csv(tmp_path / "loans.csv")
    quick = project.with_recipe(project.recipe.changed(train={"max_trials": 1}))
    done = retrain(quick, promote=False, executor=executor)
    assert done.outcome is not None and done.outcome.version.number == 2 and done.known_to is None
    assert (done.read.snapshot.rows, done.outcome.snapshot.rows) == (700, 700)
    # The challenger was not promoted, and still it has learned these rows.
    again = retrain(quick, executor=executor)
    assert again.outcome is None and again.known_to is not None and again.known_to.number == 2
    forced = retrain(quick, promote=False, force=True, executor=executor)
    assert forced.outcome is not None and forced.outcome.version.number == 3


def test_retraining_reads_only_what_is_new_where_the_recipe_says_so(
    project: Project, outcome: Outcome, tmp_path: Path
) -> None:
    """Where rows come from is today's choice."""
    numbered = loans(700).with_row_index("id")
    numbered[:600].write_csv(tmp_path / "numbered.csv")
    data = {"source": "numbered.csv", "incremental": {"key": ["id"]}}
    today = project.with_recipe(Recipe.from_dict({**project.recipe.to_dict(), "data": data}))
    take(today)
    numbered.write_csv(tmp_path / "numbered.csv")

    def stop(progress: Progress) -> None:
        if progress.stage == "check":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(today, on_progress=stop)
    newest = max(project.snapshots.list(), key=lambda snapshot: snapshot.created)
    assert newest.rows == 700 and newest.parent is not None


def test_promotion_rollback_and_ledger(project: Project, outcome: Outcome, executor: Executor) -> None:
    second = retrain(project, loans(500, seed=11), promote=False, executor=executor).outcome
    assert second is not None
    assert not second.promoted
    assert project.version().number == 1
    entry, _ = promote(project, 2, reason="newer rows", force=True)
    assert entry.to_number == 2
    assert project.version().number == 2
    rollback(project, reason="just in case")
    assert project.version().number == 1
    actions = [line.action for line in project.registry.ledger("loans")]
    assert actions == ["promote", "promote", "rollback"]
    with pytest.raises(NotFoundError):
        rollback(project)


def test_a_worse_model_is_refused(project: Project, outcome: Outcome, executor: Executor) -> None:
    # Labels that have nothing to do with the rows: nothing can be learned from them.
    noise = loans(600, seed=3).with_columns(pl.col("default").shuffle(seed=1))
    worse = retrain(project, noise, executor=executor).outcome
    assert worse is not None
    assert not worse.promoted
    assert project.version().number == 1
    with pytest.raises(GateRefused):
        promote(project, worse.version.number)


def test_a_version_is_rebuilt_bit_for_bit(project: Project, outcome: Outcome) -> None:
    verification = verify(project)
    assert verification.identical, verification.differences


def test_saved_and_loaded_model_gives_the_same_bits(
    project: Project, outcome: Outcome, tmp_path: Path, table: pl.DataFrame
) -> None:
    model = project.model()
    model.save(tmp_path / "copy")
    assert load(tmp_path / "copy").predict_frame(table).equals(model.predict_frame(table))


def test_an_error_finding_stops_before_training(project: Project, table: pl.DataFrame) -> None:
    leaking = table.with_columns(pl.col("default").replace({"yes": "1", "no": "0"}).alias("outcome_code"))
    with pytest.raises(ChecksFailed, match="outcome_code"):
        run(project, leaking)
    assert not project.registry.list()


def test_the_schema_file_is_the_users_word(project: Project, outcome: Outcome, table: pl.DataFrame) -> None:
    text = project.schema_path.read_text(encoding="utf-8")
    assert 'name = "age"' in text
    edited = text.replace('kind = "integer"', 'kind = "category"')
    assert edited != text
    project.schema_path.write_text(edited, encoding="utf-8")
    assert ingest(project).schema["age"].kind == "category"
    with pytest.raises(SchemaError, match="purpose"):
        ingest(project, table.drop("purpose"))


def test_run_without_a_target_says_what_to_do(project: Project) -> None:
    recipe = project.recipe.model_copy(update={"target": type(project.recipe.target)()})
    with pytest.raises(RecipeError, match="--target"):
        run(project.with_recipe(recipe))


def test_news_are_told_once(project: Project, outcome: Outcome, tmp_path: Path) -> None:
    targets = [f"file:{tmp_path / 'alerts.jsonl'}"]
    report = monitor(project, loans(400, seed=5, shift=0.8))
    assert report.verdict.exit_code or report.verdict.reasons
    assert alert(project, report, targets).told
    assert not alert(project, report, targets).told
    assert len((tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_a_given_moment_stands_for_now(project: Project, executor: Executor) -> None:
    outcome = run(replace(project, source_date_epoch=1_700_000_000), executor=executor)
    moment = "2023-11-14T22:13:20"
    assert outcome.version.created.startswith(moment)
    assert outcome.snapshot.created.startswith(moment)
    assert outcome.version.lineage["created"].startswith(moment)


def test_of_two_runs_at_once_the_later_one_faces_the_earlier(project: Project) -> None:
    def run_with(seed: int) -> Outcome:
        recipe = project.recipe.changed(train={"seed": seed, "families": ["linear"], "max_trials": 1})
        with ThreadPoolExecutor(1) as own:
            return run(open_project(project.root).with_recipe(recipe), executor=own)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run_with, range(3)))
    first, *later = project.registry.ledger("loans")
    assert first.reason.startswith("first champion")
    assert all(f"version {line.from_number}" in line.reason for line in later)


def test_the_ledger_says_where_nothing_was_compared(project: Project, outcome: Outcome, executor: Executor) -> None:
    renamed = project.with_recipe(project.recipe.changed(target={"column": "failed"}))
    second = run(renamed, loans().rename({"default": "failed"}), executor=executor)
    assert second.promoted and second.challenge.comparison is None
    reason = project.registry.ledger("loans")[-1].reason
    assert reason.startswith("replaced version 1 without a comparison: the champion answers another question")


def test_targets_too_large_for_a_learner_are_told(table: pl.DataFrame, executor: Executor) -> None:
    huge = pl.when(pl.col("age") == 30).then(1e308).otherwise(pl.col("age").cast(pl.Float64))
    with pytest.raises(DataError, match=r"1e\+308"):
        train(table.with_columns(huge.alias("age")), "age", max_trials=1, executor=executor)


@pytest.mark.parametrize(
    "names",
    [
        {"purpose": "count", "opened": "start", "income": "value", "default": "rows"},
        {"purpose": "rows", "opened": "count", "income": "index", "default": "level"},
    ],
)
def test_columns_may_be_called_like_our_own(project: Project, executor: Executor, names: dict[str, str]) -> None:
    target = {"target": {"column": names["default"]}}
    named = project.with_recipe(project.recipe.changed(**target))
    assert run(named, loans().rename(names), executor=executor).promoted
    new = loans(400, seed=5, shift=0.8).rename(names).drop(names["default"])
    drifted = {item.column for window in monitor(named, new).windows for item in window.drift if item.drifted}
    assert names["income"] in drifted and names["purpose"] not in drifted

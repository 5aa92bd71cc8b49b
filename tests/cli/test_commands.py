"""Every command on a real project, in the order of a model's life: what it prints, what it answers, how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rowsmith.workflows.quickstart import tumour_table

from .conftest import Command

pytestmark = pytest.mark.slow

RUN = ("--max-trials", "2", "--cores", "1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a champion, made by the command line in a process of its own."""
    root = tmp_path_factory.mktemp("project")
    tumour_table().write_csv(root / "tumours.csv")
    command = [sys.executable, "-m", "rowsmith", "run", "tumours.csv", "--target", "diagnosis", *RUN, "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["promoted"] is True
    assert answer["version"]["number"] == 1
    assert Path(answer["report"]).is_file()
    assert re.search(r"^\[ *\d+ s\] ", done.stderr), "progress goes to standard error"
    return root


def test_a_person_sees_tables_and_what_came_of_it(rowsmith: Command, root: Path) -> None:
    ended = rowsmith("show", "champion", "--project", root)
    assert ended.code == 0
    assert "model version 1, the champion" in ended.out
    assert "ROC AUC" in ended.out
    assert "95 % interval" in ended.out
    assert "\x1b" not in ended.out


def test_versions_and_the_ledger(rowsmith: Command, root: Path) -> None:
    listed = rowsmith("show", "--project", root, "--json").json
    assert listed["versions"][0]["number"] == 1
    assert listed["ledger"][0]["action"] == "promote"
    assert "Who became champion" in rowsmith("show", "--project", root).out


def test_details_for_machines(rowsmith: Command, root: Path) -> None:
    found = rowsmith("show", "1", "--project", root, "--json").json
    assert found["version"]["champion"] is True
    assert found["version"]["snapshot"]
    assert found["gates"]["passed"] is True


def test_leaderboard(rowsmith: Command, root: Path) -> None:
    found = rowsmith("leaderboard", "--project", root, "--json").json
    assert found["metric"] == "roc_auc"
    assert sum(trial["weight"] for trial in found["leaderboard"]) == pytest.approx(1)
    assert "Leaderboard" in rowsmith("leaderboard", "--project", root).out


def test_report(rowsmith: Command, root: Path, tmp_path: Path) -> None:
    path = Path(rowsmith("report", "--project", root).out.strip())
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    copy = rowsmith("report", "--project", root, "--out", tmp_path / "r.html", "--json").json["report"]
    assert Path(copy).read_bytes() == path.read_bytes()


def test_check_and_ingest(rowsmith: Command, root: Path) -> None:
    table = root / "tumours.csv"
    checked = rowsmith("check", table, "--target", "diagnosis", "--project", root, "--json")
    assert checked.code == 0
    assert checked.json["passed"] is True
    ingested = rowsmith("ingest", table, "--target", "diagnosis", "--project", root)
    assert "569 rows, 11 columns" in ingested.out
    assert "schema.toml" in ingested.out


def test_predict_label_monitor(rowsmith: Command, root: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.parquet"
    predicted = rowsmith("predict", root / "tumours.csv", "--out", scores, "--project", root, "--json")
    assert predicted.json["rows"] == 569
    table = pl.read_parquet(scores)
    assert table["id"].n_unique() == 569
    table.select("id", label=tumour_table()["diagnosis"]).write_csv(tmp_path / "outcomes.csv")
    assert rowsmith("label", tmp_path / "outcomes.csv", "--project", root, "--json").json["added"] == 569
    looked = rowsmith("monitor", "--project", root, "--json")
    assert looked.json["windows"][0]["labelled"] == 569
    assert looked.code == looked.json["verdict"]["exit_code"]
    assert "Verdict: " in rowsmith("monitor", "--project", root).out


def test_predict_without_a_log_has_no_ids(rowsmith: Command, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    rowsmith("predict", root / "tumours.csv", "--out", out, "--no-log", "--keep-inputs", "--project", root)
    assert pl.read_csv(out).columns[:2] == ["radius", "texture"]


def test_bad_data_ends_with_3(rowsmith: Command, root: Path, tmp_path: Path) -> None:
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b,y\n1,2,yes\n1,2,3,4,no\n")
    ended = rowsmith("run", ragged, "--target", "y", "--project", tmp_path, "--json")
    assert ended.code == 3
    assert "ragged.csv" in ended.json["error"]["where"] + ended.json["error"]["what"]
    short = tmp_path / "short.csv"
    tumour_table().drop("area").write_csv(short)
    ended = rowsmith("predict", short, "--out", tmp_path / "o.csv", "--project", root, "--json")
    assert ended.code == 3
    assert ended.json["error"]["faults"][0]["code"] == "missing_column"
    assert not (tmp_path / "o.csv").exists()


def test_a_refused_version_ends_with_4_and_is_kept(rowsmith: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = pl.DataFrame({"x": rng.normal(size=400), "y": rng.choice(["no", "yes"], 400)})
    noise.write_csv(tmp_path / "noise.csv")
    ended = rowsmith("run", tmp_path / "noise.csv", "--target", "y", *RUN, "--project", tmp_path, "--json")
    assert ended.code == 4
    assert ended.json["promoted"] is False
    assert not ended.json["gates"]["passed"]
    assert [v["number"] for v in rowsmith("show", "--project", tmp_path, "--json").json["versions"]] == [1]
    refused = rowsmith("promote", "1", "--project", tmp_path, "--json")
    assert (refused.code, refused.json["error"]["type"]) == (4, "GateRefused")
    forced = rowsmith("promote", "1", "--force", "--reason", "a test", "--project", tmp_path, "--json")
    assert forced.code == 0
    assert "a test" in forced.json["reason"]


def test_retrain_and_rollback(rowsmith: Command, root: Path) -> None:
    again = rowsmith("retrain", root / "tumours.csv", *RUN, "--project", root, "--json")
    assert again.code in {0, 4}
    if again.code == 4:
        rowsmith("promote", "latest", "--force", "--project", root)
    assert again.json["read"]["snapshot"]["source"].endswith("tumours.csv")
    idle = rowsmith("retrain", *RUN, "--project", root)
    assert idle.code == 0 and "No newer rows" in idle.out and "--force" in idle.out
    back = rowsmith("rollback", "--reason", "a test", "--project", root, "--json").json
    assert (back["to_number"], back["reason"]) == (1, "a test")


def test_verify(rowsmith: Command, root: Path) -> None:
    ended = rowsmith("verify", "1", "--project", root, "--json")
    assert ended.json["differences"] == []
    assert ended.code == 0


@pytest.fixture
def serving(root: Path) -> Iterator[str]:
    """What a running `rowsmith serve` has printed once it answers."""
    command = [sys.executable, "-m", "rowsmith", "serve", "--port", "0", "--project", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("curl "):
            break
    yield printed
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_serve_prints_a_curl_line_that_works(serving: str) -> None:
    line = next(line for line in serving.splitlines() if line.startswith("curl "))
    words = shlex.split(line)
    body, url = words[words.index("-d") + 1], next(word for word in words if word.startswith("http"))
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        document = json.load(answer)
    assert document["predictions"][0]["prediction"] in {"benign", "malignant"}

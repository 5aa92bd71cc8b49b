"""rowsmith traffic: rules begin, are shown and end; what makes no sense is told and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.serving.models import make_project, register, train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    project = make_project(folder, "default")
    register(project, train("default", seed=7), champion=False)
    (folder / "rowsmith.toml").write_text('name = "loans"\n', encoding="utf-8")
    project.database.close()
    return folder


def test_a_rule_from_beginning_to_end(rowsmith: Command, root: Path) -> None:
    here = ("--project", root)
    assert "Version 1 of loans answers alone." in rowsmith("traffic", "show", *here).out
    begun = rowsmith("traffic", "canary", 2, "--percent", 5, "--by", "city", "--reason", "try it", *here)
    assert begun.code == 0
    assert "version 2 answers 5 % of the requests, by city; version 1 the others" in begun.out
    larger = rowsmith("traffic", "canary", "latest", "--percent", 20, *here, "--json").json
    assert (larger["kind"], larger["challenger"], larger["rule"]["share"]) == ("canary", 2, 0.2)
    shown = rowsmith("traffic", "show", *here, "--json").json
    assert shown["rule"]["position"] == larger["position"]
    assert shown["evidence"]["state"] == "undecided"
    assert [event["kind"] for event in shown["events"]] == ["canary", "canary"]
    page = rowsmith("traffic", "show", *here).out
    assert "Evidence: undecided" in page and "try it" in page
    assert rowsmith("traffic", "stop", "--reason", "seen enough", *here).code == 0
    assert rowsmith("traffic", "stop", *here).code == 2
    assert "traffic.stop" in rowsmith("audit", *here).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("canary", 9), "no version 9"),
        (("canary", 1), "the champion itself"),
        (("canary", 2, "--percent", 0), "share of the traffic"),
        (("split", 2, "--percent", 100), "rowsmith promote"),
        (("split", 2, "--alpha", 1), "false alarm"),
        (("canary", 2, "--slow-ms", -1), "slow after some milliseconds"),
        (("shadow", "best"), "has no version best"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    rowsmith: Command, root: Path, words: tuple[object, ...], said: str
) -> None:
    before = rowsmith("traffic", "show", "--project", root, "--json").json["events"]
    ended = rowsmith("traffic", *words, "--project", root, "--json")
    assert ended.code == 2
    assert said in str(ended.json["error"])
    assert rowsmith("traffic", "show", "--project", root, "--json").json["events"] == before


@pytest.mark.parametrize("command", ["show", "shadow", "canary", "split", "stop"])
def test_help_teaches_with_an_example(rowsmith: Command, command: str) -> None:
    ended = rowsmith("traffic", command, "--help")
    assert f"Example: rowsmith traffic {command}" in ended.out


def test_a_folder_without_a_model(rowsmith: Command, tmp_path: Path) -> None:
    for words in (("show",), ("canary", 2), ("stop",)):
        ended = rowsmith("traffic", *words, "--project", tmp_path, "--json")
        assert ended.code == 2 and "rowsmith run" in ended.json["error"]["next_step"]
    assert list(tmp_path.iterdir()) == []

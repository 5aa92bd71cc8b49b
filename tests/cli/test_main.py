"""What every command has in common: help, exit codes, errors for people and for machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from rowsmith import errors
from rowsmith.cli import describe_error
from rowsmith.cli.app import COMMANDS, GROUPS, app
from rowsmith.errors import Fault, SchemaError, SourceError

from .conftest import Command

NAMES = [function.__name__ for _, functions in COMMANDS for function in functions]


def test_the_commands_are_the_promised_ones() -> None:
    assert NAMES == [
        "quickstart",
        "init",
        "ingest",
        "check",
        "run",
        "train",
        "leaderboard",
        "show",
        "report",
        "predict",
        "serve",
        "export",
        "adopt",
        "label",
        "monitor",
        "retrain",
        "promote",
        "rollback",
        "verify",
        "audit",
        "sign",
        "erase",
    ]
    assert {name: [function.__name__ for function in members] for _, name, _, members in GROUPS} == {
        "traffic": ["show", "shadow", "canary", "split", "stop"],
        "data": ["list", "show", "diff", "verify", "prune", "card"],
        "log": ["tidy"],
        "keys": ["create", "list", "revoke"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_help_teaches_with_an_example(rowsmith: Command, name: str) -> None:
    ended = rowsmith(name, "--help")
    assert ended.code == 0
    assert f"Example: rowsmith {name}" in ended.out
    assert "--json" in ended.out


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_does(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.opts}"


def test_bare_is_the_help(rowsmith: Command) -> None:
    assert "quickstart" in rowsmith().out


def test_version(rowsmith: Command) -> None:
    from rowsmith import __version__

    assert rowsmith("--version").out.startswith(f"rowsmith {__version__} (inner loops: ")


@pytest.mark.parametrize("arguments", [["rnu"], ["run", "--nope"], ["predict"], ["serve", "--port", "many"]])
def test_wrong_usage_is_told_and_ends_with_2(rowsmith: Command, arguments: list[str]) -> None:
    ended = rowsmith(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert "Error" in ended.err
    machine = rowsmith(*arguments, "--json")
    assert machine.code == 2
    assert machine.json["error"]["type"] == "UsageError"
    assert machine.json["error"]["exit_code"] == 2


def test_an_error_is_a_sentence_without_a_traceback(rowsmith: Command, tmp_path: Path) -> None:
    ended = rowsmith("show", "--project", tmp_path)
    assert ended.code == 2
    assert ended.out == ""
    assert "there is no model here yet" in ended.err
    assert "rowsmith run DATA --target COLUMN" in ended.err
    assert "Traceback" not in ended.err


def test_an_error_is_a_document_for_machines(rowsmith: Command, tmp_path: Path) -> None:
    ended = rowsmith("show", "--project", tmp_path, "--json")
    assert ended.json["error"]["type"] == "NotFoundError"
    assert ended.json["error"]["next_step"]


@pytest.mark.parametrize("way", ["option", "environment"])
def test_debug_shows_where_it_came_from(
    rowsmith: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "environment":
        monkeypatch.setenv("ROWSMITH_DEBUG", "1")
    ended = rowsmith("show", "--project", tmp_path, *(["--debug"] if way == "option" else []))
    assert "Traceback" in ended.err
    assert ended.out == ""


def test_a_setting_that_cannot_be_used_is_named(
    rowsmith: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "http")
    ended = rowsmith("show", "--project", tmp_path)
    assert ended.code == 2
    assert "PORT" in ended.err


def test_a_fault_of_ours_says_so(rowsmith: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rowsmith.cli import options

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(options, "read_settings", broken)
    ended = rowsmith("show", "--project", tmp_path)
    assert ended.code == 1
    assert "fault of Rowsmith's" in ended.err
    assert "Traceback" not in ended.err


def test_markup_in_a_message_is_shown_as_it_is(rowsmith: Command, tmp_path: Path) -> None:
    ended = rowsmith("show", "--project", tmp_path / "[bold]x[/bold]")
    assert "[bold]x[/bold]" in ended.err


@pytest.mark.parametrize(
    ("kind", "code"),
    [("UsageError", 2), ("DataError", 3), ("GateRefused", 4), ("ArtifactError", 1), ("StorageError", 1)],
)
def test_exit_codes_come_from_the_family(kind: str, code: int) -> None:
    assert describe_error(getattr(errors, kind)("what"))["exit_code"] == code


def test_every_fault_of_the_data_is_listed() -> None:
    faults = [Fault("wrong_type", "age", "not a number", row=row, received="old") for row in range(20)]
    document = describe_error(SchemaError(faults))
    assert [fault["row"] for fault in document["faults"]] == list(range(20))
    assert document["exit_code"] == 3


def test_parts_of_a_message_stay_apart() -> None:
    document = describe_error(SourceError("what", where="file.csv", received="x", allowed="y", next_step="z"))
    assert (document["what"], document["where"], document["next_step"]) == ("what", "file.csv", "z")


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "rowsmith", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("rowsmith ")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_ends_with_130_and_a_sentence(tmp_path: Path, options: list[str]) -> None:
    code = (
        "import sys, time, rowsmith.cli as cli\n"
        "import rowsmith.cli.options as options\n"
        "def wait(*_): print('waiting', flush=True); time.sleep(60)\n"
        "options.read_settings = wait\n"
        f"cli.main(['show', *{options!r}])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["error"]["exit_code"] == 130 if options else out == ""
    assert err == "Interrupted: nothing half-done was kept.\n"


def test_no_colour_where_there_is_no_terminal(rowsmith: Command, tmp_path: Path) -> None:
    ended = rowsmith("init", tmp_path / "plain-text")
    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
    assert "cd plain-text && rowsmith run" in ended.out


def test_init_for_machines(rowsmith: Command, tmp_path: Path) -> None:
    ended = rowsmith("init", tmp_path / "churn-model", "--json")
    assert ended.json["package"] == "churn_model"
    assert "rowsmith.toml" in ended.json["files"]
    again = rowsmith("init", tmp_path / "churn-model", "--json")
    assert again.code == 2
    assert "something here already" in again.json["error"]["what"]


def test_a_terminal_without_unicode_gets_question_marks(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "rowsmith", "init", "données"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert b"donn?es" in done.stderr


def test_a_reader_who_leaves_early_is_no_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rowsmith", "init", "quiet-project"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(60)

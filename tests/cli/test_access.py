"""rowsmith keys and rowsmith audit."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command


def test_a_key_from_birth_to_end(rowsmith: Command, tmp_path: Path) -> None:
    here = ("--project", tmp_path)
    made = rowsmith("keys", "create", "ci", "--role", "operate", "--rate", 90, *here, "--json")
    assert made.code == 0 and made.json["key"].startswith("rowsmith_")
    assert (made.json["role"], made.json["rate"], made.json["number"]) == ("operate", 90, 1)
    shown = rowsmith("keys", "list", *here)
    assert "ci" in shown.out and made.json["key"] not in shown.out
    assert rowsmith("keys", "revoke", "ci", *here).code == 0
    assert "revoked" in rowsmith("keys", "list", *here).out
    again = rowsmith("keys", "revoke", "ci", *here, "--json")
    assert again.code == 2 and again.json["error"]["received"] == "ci"
    lines = rowsmith("audit", *here, "--json").json["lines"]
    assert [line["action"] for line in lines] == ["keys.create", "keys.revoke"]
    assert all("(rowsmith keys" in line["actor"] for line in lines)
    assert "keys.create" in rowsmith("audit", *here).out


def test_looking_makes_no_store(rowsmith: Command, tmp_path: Path) -> None:
    assert "rowsmith keys create" in rowsmith("keys", "list", "--project", tmp_path).out
    assert rowsmith("audit", "--project", tmp_path).code == 0
    assert rowsmith("keys", "revoke", "x", "--project", tmp_path).code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_role_that_does_not_exist(rowsmith: Command, tmp_path: Path) -> None:
    ended = rowsmith("keys", "create", "x", "--role", "root", "--project", tmp_path, "--json")
    assert ended.code == 2 and ended.json["error"]["allowed"] == "predict, operate, admin"


def test_a_server_that_others_can_reach_asks_for_keys_first(rowsmith: Command, tmp_path: Path) -> None:
    for options in (("--host", "0.0.0.0"), ("--require-keys",)):
        ended = rowsmith("serve", *options, "--port", 0, "--project", tmp_path)
        assert ended.code == 2 and "rowsmith keys create NAME --role predict" in ended.err

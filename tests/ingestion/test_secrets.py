from __future__ import annotations

from pathlib import Path

import pytest

from rowsmith.errors import RecipeError
from rowsmith.ingestion.sources.address import secrets_in, shown
from rowsmith.ingestion.sources.secrets import Secrets
from rowsmith.recipe import Recipe


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("${PW}", "a/b c@d"),
        ("Bearer ${PW}", "Bearer a/b c@d"),
        ("postgresql://me:${PW}@host/db", "postgresql://me:a%2Fb%20c%40d@host/db"),
        ("postgresql://me:${file:pw.txt}@host/db", "postgresql://me:from%20file@host/db"),
    ],
)
def test_references_are_filled_in(tmp_path: Path, text: str, filled: str) -> None:
    (tmp_path / "pw.txt").write_text("from file\n")
    secrets = Secrets({"PW": "a/b c@d"}, tmp_path)
    assert secrets.fill(text, where="data.source") == filled
    assert repr(secrets) == "Secrets()"


@pytest.mark.parametrize("text", ["${NONE}", "${file:none.txt}"])
def test_what_is_not_there_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"data\.source") as caught:
        Secrets({}, tmp_path).fill(text, where="data.source")
    assert caught.value.next_step


def test_what_was_filled_in_is_hidden_in_every_spelling() -> None:
    secrets = Secrets({"PW": "a/b c@d", "SHORT": "x"})
    secrets.fill("${PW}${SHORT}", where="")
    assert secrets.hide("a/b c@d a%2Fb%20c%40d a%2Fb+c%40d x") == "*** *** *** x"


@pytest.mark.parametrize(
    ("address", "safe", "secrets"),
    [
        ("postgresql://me:pw@host:5/db", "postgresql://me@host:5/db", ["pw"]),
        ("postgresql://me:p%40w@host/db?sslmode=require", "postgresql://me@host/db?sslmode=require", ["p@w"]),
        ("postgresql://me:p@w@host/db", "postgresql://me@host/db", ["p@w"]),
        ("postgresql:///db?host=/tmp&password=pw", "postgresql:///db?host=/tmp&password=***", ["pw"]),
        ("https://token@host/x", "https://host/x", ["token"]),
        ("https://me:pw@host/x?page=1&X-Amz-Signature=abc", "https://host/x?page=1&X-Amz-Signature=***", ["pw", "abc"]),
        ("mysql://me:${PW}@host/db", "mysql://me@host/db", []),
        ("data/table.csv", "data/table.csv", []),
        ("me:pw@host", "me:pw@host", []),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, safe: str, secrets: list[str]) -> None:
    assert shown(address) == safe
    assert secrets_in(address) == secrets


def test_a_recipe_may_not_hold_a_password() -> None:
    with pytest.raises(RecipeError, match="password is written out") as caught:
        Recipe.from_dict({"data": {"source": "postgresql://me:hush@host/db"}})
    assert "hush" not in str(caught.value)
    source = "postgresql://me:${PW}@host/db"
    assert Recipe.from_dict({"data": {"source": source}}).data.source == source


def test_sections_inside_sections_change_key_by_key() -> None:
    recipe = Recipe.from_dict({"data": {"sql": {"table": "a", "params": {"x": 1}}}})
    changed = recipe.changed(data={"sql": {"table": "b", "query": None}, "incremental": {"cursor": "t"}})
    assert changed.data.sql.table == "b" and changed.data.sql.params == {"x": 1}
    assert changed.data.incremental.is_wanted and not recipe.data.incremental.is_wanted
    with pytest.raises(RecipeError, match=r"is it data\.sql\.table"):
        Recipe.from_dict({"data": {"sql": {"tabel": "x"}}})

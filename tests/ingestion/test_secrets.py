from __future__ import annotations

from pathlib import Path

import pytest

from rowsmith.errors import RecipeError
from rowsmith.ingestion.sources.address import secrets_in, shown
from rowsmith.ingestion.sources.secrets import Secrets
from rowsmith.recipe import Recipe
from rowsmith.settings import read_settings
from rowsmith.workflows.project import open_project
from rowsmith.workflows.reading import take


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


@pytest.mark.parametrize("name", ["{other}/key", "../other/key", "link", "linked/key", "~/key"])
def test_a_recipe_reads_no_file_outside_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root, other = tmp_path / "project", tmp_path / "other"
    for folder in (root / "in", other):
        folder.mkdir(parents=True)
        (folder / "key").write_text("hush-hush")
    (root / "link").symlink_to(other / "key")
    (root / "linked").symlink_to(other)
    monkeypatch.setenv("HOME", str(other))
    text = f"https://x/${{file:{name.format(other=other)}}}"
    with pytest.raises(RecipeError, match=rf"may not read this file.*ROWSMITH_SECRET_FILES={other}/key") as caught:
        Secrets({}, root).fill(text, where="data.http.bearer")
    assert "hush" not in str(caught.value)
    assert Secrets({}, root).fill("${file:in/../in/key}", where="") == "hush-hush"
    for allowed in (other, other / "key"):
        assert Secrets({}, root, allowed=[allowed]).fill(text, where="").endswith("hush-hush")
    assert Secrets({}, root, typed=text).fill(text, where="").endswith("hush-hush")
    with pytest.raises(RecipeError, match="may not read"):
        Secrets({}, root, allowed=[other / "keys"], typed="${key} ${file:other}").fill(text, where="")


def test_the_settings_reach_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "address").write_text(str(tmp_path / "project" / "t.csv"))
    (tmp_path / "project" / "t.csv").write_text("a\n1\n")
    reference = f"${{file:{tmp_path / 'address'}}}"
    recipe = Recipe.from_dict({"data": {"source": reference}})
    closed = open_project(tmp_path / "project").with_recipe(recipe)
    with pytest.raises(RecipeError, match="may not read this file"):
        take(closed)
    assert take(closed, reference).snapshot.rows == 1
    allowed = read_settings({"ROWSMITH_SECRET_FILES": f"/nowhere:{tmp_path}"}).secret_files
    opened = open_project(tmp_path / "project", secret_files=allowed).with_recipe(recipe)
    assert take(opened).snapshot.rows == 1


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

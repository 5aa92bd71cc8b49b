"""The explained recipe is generated, so it must parse to what it explains, commented choices included."""

from __future__ import annotations

import re
import tomllib

import pytest

from rowsmith.errors import RecipeError
from rowsmith.recipe import Recipe
from rowsmith.workflows.recipe_file import choices, explained

CHOSEN = {"name": "churn", "data": {"source": "data/é.csv"}, "train": {"seconds": 30.0, "families": ["linear"]}}


def test_without_choices_it_is_the_default_recipe() -> None:
    assert Recipe.from_dict(tomllib.loads(explained({}))) == Recipe()


def test_what_is_chosen_is_set_and_nothing_else() -> None:
    assert Recipe.from_dict(tomllib.loads(explained(CHOSEN))) == Recipe.from_dict(CHOSEN)


def test_every_choice_is_there_with_a_sentence() -> None:
    text = explained({})
    for choice in choices():
        assert choice.sentence, f"{choice.section}.{choice.key} has no description in recipe.py"
        assert re.search(rf"^# {choice.key} = ", text, re.MULTILINE)


def test_defaults_in_comments_are_the_defaults() -> None:
    with_default = {(choice.section, choice.key) for choice in choices() if choice.default is not None}
    lines, section = [], ""
    for line in explained({}).splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        key = re.match(r"# ([a-z_]+) = ", line)
        lines.append(line[2:] if key and (section, key[1]) in with_default else line)
    assert Recipe.from_dict(tomllib.loads("\n".join(lines))) == Recipe()


@pytest.mark.parametrize("choice", choices(), ids=lambda choice: f"{choice.section}.{choice.key}")
def test_every_example_can_be_used(choice) -> None:  # type: ignore[no-untyped-def]
    place = f"[{choice.section}]\n" if choice.section else ""
    Recipe.from_dict(tomllib.loads(f"{place}{choice.key} = {choice.example}"))


def test_a_misspelt_key_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict({"train": {"second": 5}, "trian": {}, "zzz": 1})
    said = caught.value.what.split("; ")
    assert said[0] == "there is no setting train.second (is it train.seconds?)"
    assert said[1] == "there is no setting trian (is it train?)"
    assert said[2] == "there is no setting zzz"

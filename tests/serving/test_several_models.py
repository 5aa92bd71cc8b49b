"""Several models in one server: found by name, loaded when asked for, let go when nobody asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith.recipe import Recipe
from rowsmith.serving.errors import Problem
from rowsmith.serving.models import Models
from rowsmith.workflows.project import Project
from tests.serving.models import NAME, a_row, make_project, register, train

HOUR = 3600.0
PLENTY = 1 << 40
OTHERS = ("cars", "homes")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("several"), "default")
    register(made, train("default", seed=7), champion=False)
    for number, name in enumerate(OTHERS):
        model = train("default", seed=20 + number)
        folder = made.registry.folder(made.version(1))

        def write(target: Path, model: Any = model, folder: Path = folder) -> None:
            model.save(target / "model")
            (target / "document.json").write_text((folder / "document.json").read_text())

        version = made.registry.add(name, write, lineage={}, metric="roc_auc", score=None)
        made.registry.promote(name, version.number, reason="first", actor="a test")
    return made


@pytest.fixture
def opened(project: Project) -> Iterator[Callable[..., Models]]:
    made: list[Models] = []

    def models(*, idle_seconds: float = HOUR, max_bytes: int = PLENTY) -> Models:
        made.append(Models(project, idle_seconds=idle_seconds, max_bytes=max_bytes))
        return made[-1]

    yield models
    for each in made:
        each.close()


def eventually(true: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def test_each_name_has_its_own_champion(opened: Callable[..., Models], project: Project) -> None:
    models = opened()
    for name in (None, *OTHERS):
        route = models.route([a_row()], name=name)
        assert (route.served.version.name, route.role) == (name or NAME, "champion")
        expected = project.model("champion", name).predict_row(a_row())
        assert route.served.model.predict_row(a_row()) == expected
    assert models.get(NAME) is models.default


def test_a_version_that_the_caller_names(opened: Callable[..., Models]) -> None:
    models = opened()
    route = models.route([a_row()], ref="2")
    assert (route.served.version.number, route.role, route.unit) == (2, "named", None)
    assert models.named(None, 2) is route.served
    assert models.named(None, "champion").version.number == models.named(None, 1).version.number == 1
    assert models.named("cars", 1).version.name == "cars"


@pytest.mark.parametrize("ref", [0, 3, "-1", "latest-ish", "1e3", "9" * 30, "²"])
def test_a_version_that_does_not_exist(opened: Callable[..., Models], ref: Any) -> None:
    with pytest.raises(Problem, match="has no version") as caught:
        opened().named(NAME, ref)
    assert caught.value.kind.status == 404
    assert "champion, latest, 1, 2" in caught.value.detail


@pytest.mark.parametrize("name", ["nobody", "../loans", "", "a" * 500, "loans\0"])
def test_a_name_that_does_not_exist(opened: Callable[..., Models], name: str) -> None:
    with pytest.raises(Problem, match="there are: cars, homes, loans") as caught:
        opened().route([a_row()], name=name)
    assert caught.value.kind.status == 404


def test_nothing_is_loaded_before_it_is_asked_for(opened: Callable[..., Models]) -> None:
    models = opened()
    assert models.size == 0
    models.route([a_row()], name="cars")
    alone = models.size
    assert alone > 0
    models.route([a_row()])
    assert models.size > alone


def test_what_nobody_asks_for_is_let_go_and_found_again(opened: Callable[..., Models]) -> None:
    models = opened(idle_seconds=0.3)
    own = models.route([a_row()])
    cars = models.route([a_row()], name="cars").served
    models.named(None, 2)
    assert models.size > models.default.size
    assert eventually(lambda: models.size == models.default.size > 0)
    # A request that was being answered has kept what it needs, and the next one loads it anew.
    assert cars.model.predict_row(a_row()) == models.route([a_row()], name="cars").served.model.predict_row(a_row())
    assert models.route([a_row()]).served is own.served


def test_the_longest_unused_goes_first_where_memory_is_short(opened: Callable[..., Models]) -> None:
    size = opened().default
    size.current()
    one = size.size
    models = opened(max_bytes=int(2.5 * one))
    models.route([a_row()])
    cars = models.get("cars")
    homes = models.get("homes")
    assert models.get("homes") is homes
    assert models.get("cars") is not cars
    assert models.size <= 2.5 * one
    models.route([a_row()])  # the project's own stays whatever comes


def test_a_project_in_which_nothing_was_trained(tmp_path: Path) -> None:
    from rowsmith.workflows.project import open_project

    project = replace(open_project(tmp_path), recipe=Recipe.from_dict({"name": NAME}))
    models = Models(project, idle_seconds=HOUR, max_bytes=PLENTY)
    with pytest.raises(Problem, match="no version of") as caught:
        models.route([a_row()])
    assert caught.value.kind.status == 503
    with pytest.raises(Problem, match="none yet"):
        models.route([a_row()], name="other")
    models.close()

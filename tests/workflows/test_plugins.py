"""A project's own features and checks: found by name, run only where they are meant to, identical for every row."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from rowsmith.errors import ArtifactError, UsageError
from rowsmith.types import Severity
from rowsmith.workflows.plugins import Plugins, load_kept, load_plugins

FRAME = pl.DataFrame({"a": [1.0, 2.0, 4.0], "b": ["x", None, "y"]})
HEAD = "import polars as pl\n\ndef add_features(frame):\n    "
DOUBLE = HEAD + 'return frame.with_columns(double=pl.col("a") * 2)\n'
MakeProject = Callable[..., Path]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    def make(package: str = "own_code_of_a_test", *, recipe: bool = True, **code: str) -> Path:
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in code.items():
            (folder / f"{name}.py").write_text(text)
        if recipe:
            (tmp_path / "rowsmith.toml").touch()
        return tmp_path

    return make


def test_a_project_without_own_code_leaves_everything_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rowsmith.toml").touch()
    plugins = load_plugins(tmp_path)
    assert plugins == Plugins()
    assert plugins.apply(FRAME) is FRAME
    assert plugins.run_checks(FRAME) == ()


def test_features_are_applied(make_project: MakeProject) -> None:
    plugins = load_plugins(make_project(features=DOUBLE))
    assert plugins.apply(FRAME)["double"].to_list() == [2.0, 4.0, 8.0]
    assert plugins.apply(FRAME.head(1))["double"].to_list() == [2.0]


def test_modules_of_the_package_can_import_each_other(make_project: MakeProject) -> None:
    text = "from own_code_of_a_test.helper import double\nfrom .helper import double as same\n"
    text += "def add_features(frame):\n    assert same is double\n    return frame.with_columns(double('a'))\n"
    helper = "import polars as pl\n\ndef double(name):\n    return (pl.col(name) * 2).alias('double')\n"
    plugins = load_plugins(make_project(features=text, helper=helper))
    assert plugins.apply(FRAME)["double"].to_list() == [2.0, 4.0, 8.0]


def test_nothing_runs_in_a_folder_that_is_no_project(make_project: MakeProject) -> None:
    root = make_project(recipe=False, features="raise SystemExit\n" + DOUBLE)
    assert load_plugins(root) == Plugins()


def test_a_file_without_its_hook_is_not_run(make_project: MakeProject) -> None:
    root = make_project(features="raise SystemExit\n", checks="raise SystemExit\n")
    assert load_plugins(root) == Plugins()


def test_changed_code_is_read_afresh_and_has_another_hash(make_project: MakeProject) -> None:
    root = make_project(features=DOUBLE)
    before = load_plugins(root)
    (root / "own_code_of_a_test" / "features.py").write_text(DOUBLE.replace("* 2", "* 100"))
    after = load_plugins(root)
    assert before.hash != after.hash
    assert before.apply(FRAME)["double"].to_list() == [2.0, 4.0, 8.0]
    assert after.apply(FRAME)["double"].to_list() == [100.0, 200.0, 400.0]


def test_checks_give_findings(make_project: MakeProject) -> None:
    code = '''
from rowsmith.types import Finding, Severity

def check_fine(frame):
    return None

def check_few_rows(frame):
    """Too few rows.

    More words.
    """
    return f"{frame.height} rows"

def check_hard(frame):
    return Finding("own_hard", Severity.ERROR, "Hard", "no")

def helper(frame):
    raise AssertionError("not a check")
'''
    few, hard = load_plugins(make_project(checks=code)).run_checks(FRAME)
    assert (few.code, few.severity, few.title, few.message) == (
        "own_check_few_rows",
        Severity.WARNING,
        "Too few rows",
        "3 rows",
    )
    assert hard.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "must return a polars DataFrame"),
        ("return frame.head(2)", "must keep every row"),
        ('return frame.with_columns(c=pl.col("nope"))', r"features\.py:\d+: add_features failed: ColumnNotFoundError"),
        ("raise SystemExit(3)", r"features\.py:\d+: add_features failed: SystemExit: 3"),
        ('return frame.with_columns(c=pl.col("a") - pl.col("a").mean())', "differences in c"),
        ("return frame.reverse()", "differences in a, b"),
    ],
)
def test_features_that_break_the_rule_are_refused(make_project: MakeProject, body: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_plugins(make_project(features=HEAD + body + "\n")).apply(FRAME)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def add_features(frame:\n", r"features\.py:1: this is not Python"),
        ("import nothing_of_this_name\n" + DOUBLE, r"features\.py:1: importing .* failed: ModuleNotFoundError"),
    ],
)
def test_broken_code_is_named_with_its_line(make_project: MakeProject, code: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_plugins(make_project(features=code))


def test_a_failing_check_and_a_wrong_answer_are_named(make_project: MakeProject) -> None:
    root = make_project(checks="def check_it(frame):\n    return 1 / 0\n")
    with pytest.raises(UsageError, match=r"checks\.py:2: check_it failed: ZeroDivisionError"):
        load_plugins(root).run_checks(FRAME)
    (root / "own_code_of_a_test" / "checks.py").write_text("def check_it(frame):\n    return 12345\n")
    with pytest.raises(UsageError, match="must return a text, a Finding or None"):
        load_plugins(root).run_checks(FRAME)


def test_two_packages_with_hooks_are_one_too_many(make_project: MakeProject) -> None:
    make_project(features=DOUBLE)
    with pytest.raises(UsageError, match="one_more, own_code_of_a_test"):
        load_plugins(make_project("one_more", features=DOUBLE))


@pytest.mark.parametrize("package", ["json", "polars"])
def test_a_package_never_takes_the_place_of_a_module(make_project: MakeProject, package: str) -> None:
    with pytest.raises(UsageError, match="the name of a Python module"):
        load_plugins(make_project(package, features=DOUBLE))


def test_a_version_keeps_its_code(make_project: MakeProject, tmp_path: Path) -> None:
    root = make_project(features=DOUBLE)
    plugins = load_plugins(root)
    plugins.keep(tmp_path / "version")
    shutil.rmtree(root / "own_code_of_a_test")
    kept = load_kept(tmp_path / "version", plugins.hash)
    assert kept.hash == plugins.hash
    assert kept.apply(FRAME)["double"].to_list() == [2.0, 4.0, 8.0]


def test_kept_code_that_was_changed_is_not_run(make_project: MakeProject, tmp_path: Path) -> None:
    plugins = load_plugins(make_project(features=DOUBLE))
    plugins.keep(tmp_path / "version")
    (tmp_path / "version/own_code/own_code_of_a_test/features.py").write_text("raise SystemExit\n" + DOUBLE)
    with pytest.raises(ArtifactError, match="were changed or lost"):
        load_kept(tmp_path / "version", plugins.hash)
    with pytest.raises(ArtifactError, match="were changed or lost"):
        load_kept(tmp_path / "nowhere", plugins.hash)


def test_a_version_without_own_code_keeps_none(tmp_path: Path) -> None:
    Plugins().keep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert load_kept(tmp_path, "") == Plugins()

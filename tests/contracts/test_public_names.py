"""The names that users import are a promise: all exist, none is missing from the list, and none costs at import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rowsmith
from rowsmith import errors

HEAVY = ("numpy", "polars", "pandas", "sklearn", "pydantic", "lightgbm", "flask", "typer", "rich")


@pytest.mark.parametrize("name", rowsmith.__all__)
def test_every_listed_name_exists(name: str) -> None:
    assert getattr(rowsmith, name) is not None
    assert name in dir(rowsmith)


def test_the_list_is_sorted_and_holds_every_lazy_name() -> None:
    assert rowsmith.__all__ == sorted(set(rowsmith.__all__))
    assert set(rowsmith.HOMES) <= set(rowsmith.__all__)


def test_every_error_is_public() -> None:
    family = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert family <= set(rowsmith.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = rowsmith.trian


@pytest.mark.parametrize("module", ["rowsmith", "rowsmith.cli"])
def test_import_loads_no_heavy_package(module: str) -> None:
    allowed = {"typer", "rich"} if module == "rowsmith.cli" else set()
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= allowed


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert rowsmith.__version__ == version("rowsmith")

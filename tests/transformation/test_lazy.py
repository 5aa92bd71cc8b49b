from __future__ import annotations

import subprocess
import sys

import pytest

from rowsmith import transformation
from rowsmith.transformation import RESTORERS


def test_every_public_name_is_there() -> None:
    for name in transformation.__all__:
        assert getattr(transformation, name)
    with pytest.raises(AttributeError):
        transformation.unknown  # noqa: B018


def test_the_allow_list_holds_what_each_class_says() -> None:
    assert all(restore.__self__.kind == kind for kind, restore in RESTORERS.items())  # type: ignore[attr-defined]


def test_the_supervised_half_needs_no_dataframe_library() -> None:
    code = "import sys, rowsmith.transformation.dense; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

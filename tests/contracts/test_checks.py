"""The contract of a check of the data. Runs over `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from rowsmith.ingestion.checks import CHECKS, Check, Examined, NotApplicable
from rowsmith.ingestion.infer import infer_schema
from rowsmith.types import Finding
from tests.ingestion.tables import recipe
from tests.ingestion.test_checks import RANDOM, ROWS, table


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
class TestEveryCheck:
    def test_says_what_it_is(self, check: Check) -> None:
        assert check.code.islower() and check.code.replace("_", "").isalpha()
        assert check.title[0].isupper() and not check.title.endswith(".")
        assert check.function.__name__.startswith("check_")
        assert sum(other.code == check.code for other in CHECKS) == 1

    @pytest.mark.parametrize("target", ["y", None])
    @pytest.mark.parametrize(
        "change",
        [
            lambda frame: frame,
            lambda frame: frame.head(3),
            lambda frame: frame.with_columns(x=pl.lit(None), z=pl.lit("same")),
            lambda frame: frame.with_columns(s=pl.col("x").cast(pl.String) + " of some words"),
            lambda frame: frame.with_columns(y=pl.when(pl.col("x") > 0).then("y")),
        ],
    )
    def test_answers_for_any_table(
        self, check: Check, target: str | None, change: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> None:
        whole = table(d=np.datetime64("2024-01-01") + np.arange(ROWS), c=RANDOM.choice(["u", "v"], ROWS))
        chosen = recipe(target)
        examined = Examined(change(whole), infer_schema(whole, chosen), chosen)
        outcome = check.function(examined)
        assert isinstance(outcome, NotApplicable) or all(seen.message for seen in outcome)
        for finding in check.findings(examined):
            assert finding == Finding.from_dict(finding.to_dict())
            assert set(finding.columns) <= set(whole.columns) | {"z", "s"}

"""Worlds to watch, and references of them."""

from __future__ import annotations

import pytest

from rowsmith.evaluation.metrics import get_metric
from rowsmith.monitoring.reference import Reference
from rowsmith.types import Task
from tests.monitoring.world import World, schema_of


@pytest.fixture(scope="session")
def yes_no() -> World:
    return World(schema_of(Task.BINARY, ("no", "yes")))


@pytest.fixture(scope="session")
def amounts() -> World:
    return World(schema_of(Task.REGRESSION, ()))


@pytest.fixture(scope="session")
def yes_no_reference(yes_no: World) -> Reference:
    return yes_no.reference(metrics=(get_metric("roc_auc"), get_metric("accuracy")))


@pytest.fixture(scope="session")
def amounts_reference(amounts: World) -> Reference:
    return amounts.reference(metrics=(get_metric("rmse"), get_metric("mae")))

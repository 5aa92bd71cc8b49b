"""A project with a champion for each kind of task, shared by tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from rowsmith.serving.app import create_app
from rowsmith.serving.services import KEY
from rowsmith.settings import Settings
from rowsmith.workflows.project import Project
from tests.serving.models import make_project


def closed(app: Flask) -> None:
    """End the thread that watches the registry, and let go of the database."""
    services = app.extensions[KEY]
    services.close()
    if not services.project.is_empty:
        services.project.log.close()
        services.project.database.close()


@pytest.fixture(scope="session")
def binary_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("binary"), "default")


@pytest.fixture(scope="session")
def project_of(tmp_path_factory: pytest.TempPathFactory, binary_project: Project) -> dict[str, Project]:
    """By target."""
    return {
        "default": binary_project,
        "rate": make_project(tmp_path_factory.mktemp("multiclass"), "rate"),
        "amount": make_project(tmp_path_factory.mktemp("regression"), "amount"),
    }


@pytest.fixture
def app(binary_project: Project) -> Iterator[Flask]:
    made = create_app(binary_project, Settings())
    yield made
    made.extensions[KEY].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def empty_client(tmp_path: Path) -> Iterator[FlaskClient]:
    """A server over a folder in which nothing was ever trained."""
    from rowsmith.workflows.project import open_project

    made = create_app(open_project(tmp_path), Settings())
    yield made.test_client()
    closed(made)

"""What a version is asked with: the columns from before the project's own features, or else the model's own.

Apart from deploy.py, so that whoever only wants to know what to ask loads no model and no library that runs one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rowsmith.errors import ArtifactError
from rowsmith.registry.versions import Version
from rowsmith.schema import Schema
from rowsmith.storage import archive
from rowsmith.workflows.project import Project

if TYPE_CHECKING:
    import polars as pl

INPUTS_FILE = "inputs.parquet"
INPUT_SCHEMA_FILE = "inputs.json"


def keep_inputs(folder: Path, raw: pl.DataFrame, schema: Schema) -> None:
    """Write into a version's folder what the project's own features start from: `schema` is that of the raw rows."""
    target = schema.target
    raw.clear().drop(target.name if target else []).write_parquet(folder / INPUTS_FILE)
    (folder / INPUT_SCHEMA_FILE).write_text(json.dumps(schema.to_dict(), ensure_ascii=False), encoding="utf-8")


def read_inputs(folder: Path) -> Schema:
    """What `keep_inputs` wrote."""
    return Schema.from_dict(json.loads((folder / INPUT_SCHEMA_FILE).read_text(encoding="utf-8")))


def inputs_of(project: Project, version: Version) -> Schema:
    """The schema of what a version is asked with. No hash is checked: good for an example, not for an answer.

    Raises ArtifactError, StorageError.
    """
    folder = project.registry.folder(version)
    try:
        if (folder / INPUT_SCHEMA_FILE).is_file():
            return read_inputs(folder)
        return Schema.from_dict(archive.read_data(folder / "model")["schema"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise ArtifactError(f"the schema of this version cannot be read: {problem!r}", where=str(folder)) from problem

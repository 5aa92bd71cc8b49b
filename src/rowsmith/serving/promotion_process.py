"""The process in which a version is judged and promoted: it reads a table, and what answers requests stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

from rowsmith import errors
from rowsmith.registry.versions import Version
from rowsmith.serving.errors import Problem
from rowsmith.serving.job_process import begin, order_of
from rowsmith.settings import Settings
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project


def promote_apart(project: Project, settings: Settings, version: Version, *, reason: str, actor: str) -> JsonObject:
    """The line of the ledger and the gates. Raises what `workflows.promote` does; Problem where the process ended."""
    named = project.with_recipe(project.recipe.model_copy(update={"name": version.name}))
    order = order_of(named, settings, number=version.number, reason=reason, actor=actor)
    command = [sys.executable, "-m", "rowsmith.serving.promotion_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(order)
            process.stdin.flush()
        said = process.stdout.read()
    if not said:
        raise Problem("not-judged", f"the process that judged version {version.number} ended early")
    told: JsonObject = json.loads(said)
    if "raised" in told:
        raise getattr(errors, told["raised"])(told["what"], allowed=told["allowed"])
    return told


def main() -> None:
    project, order = begin()
    from rowsmith.workflows.promote import promote

    try:
        entry, gates = promote(project, order["number"], reason=order["reason"], actor=order["actor"])
        told = {**entry.to_dict(), "gates": gates.to_dict()}
    except errors.RowsmithError as problem:
        told = {"raised": type(problem).__name__, "what": problem.what, "allowed": problem.allowed}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()

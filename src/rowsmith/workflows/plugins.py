"""A project's own features and checks: two files in a package folder of the project, found by their names.

    PACKAGE/features.py   def add_features(frame: polars.DataFrame) -> polars.DataFrame
    PACKAGE/checks.py     def check_...(frame: polars.DataFrame) -> str | rowsmith.types.Finding | None

Only a folder with a `rowsmith.toml` is looked into, and a file is run only if it defines its hook. Features are
applied by the project, to the rows of a snapshot and to those that `predict` and `serve` are given, never by a saved
model: an artifact that was carried elsewhere runs no code and expects the columns to be there. A version keeps a
copy of the code it was trained with (`keep`, `load_kept`), so that rolling back also brings back its features.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import polars as pl

from rowsmith.errors import ArtifactError, UsageError
from rowsmith.ingestion.table import Table
from rowsmith.recipe import RECIPE_FILE
from rowsmith.storage.files import inside
from rowsmith.types import Finding, Severity

FEATURES_FILE = "features.py"
CHECKS_FILE = "checks.py"
# Where lines of a traceback are that the project did not write: libraries, frozen modules, and this file.
NOT_THEIRS = (*(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")), "<", __file__)
FEATURES_HOOK = "add_features"
CHECK_PREFIX = "check_"
KEPT_FOLDER = "own_code"
# Enough rows to see that a feature of one row depends on the others.
PROBE_ROWS = 8

AddFeatures: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
OwnCheck: TypeAlias = Callable[[pl.DataFrame], "str | Finding | None"]
# Importing changes the table of modules, which every thread shares.
_IMPORTING = threading.Lock()
_IMPORTED: set[str] = set()


@dataclass(frozen=True)
class Plugins:
    """What a project adds. `hash` is that of the package's source files; empty where there is none."""

    package: str = ""
    hash: str = ""
    add_features: AddFeatures | None = None
    checks: tuple[OwnCheck, ...] = ()
    sources: dict[str, bytes] = field(default_factory=dict, repr=False)

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the project's own features; the very frame where there are none.

        Each row must be treated on its own, since at prediction it may come alone: the first rows are computed
        a second time by themselves, and must come out the same. Raises UsageError for a hook that fails or
        breaks this.
        """
        if self.add_features is None:
            return frame
        whole = self._featured(frame)
        if frame.height > 1:
            self._expect_row_wise(frame, whole)
        return whole

    def over(self, table: Table) -> Table:
        """The same for a table that is gone through in batches."""
        return table if self.add_features is None else table.mapped(self.apply)

    def run_checks(self, frame: pl.DataFrame) -> tuple[Finding, ...]:
        """What the project's own checks found; a text stands for a warning. Raises UsageError for one that fails."""
        found: list[Finding] = []
        for check in self.checks:
            try:
                answer = check(frame)
            except (Exception, SystemExit) as problem:
                raise _failed(check.__name__, problem) from problem
            if isinstance(answer, Finding):
                found.append(answer)
            elif isinstance(answer, str):
                found.append(_warning(check, answer))
            elif answer is not None:
                raise UsageError(
                    f"{check.__name__} must return a text, a Finding or None",
                    where=f"{self.package}/{CHECKS_FILE}",
                    received=type(answer).__name__,
                )
        return tuple(found)

    def keep(self, folder: Path) -> None:
        """Write a copy of the code into a version's folder; nothing where there is none."""
        for name, content in self.sources.items():
            path = inside(folder / KEPT_FOLDER / self.package, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _featured(self, frame: pl.DataFrame) -> pl.DataFrame:
        assert self.add_features is not None
        where = f"{self.package}/{FEATURES_FILE}"
        try:
            whole: Any = self.add_features(frame)
        except (Exception, SystemExit) as problem:
            raise _failed(FEATURES_HOOK, problem) from problem
        if not isinstance(whole, pl.DataFrame):
            raise UsageError(
                f"{FEATURES_HOOK} must return a polars DataFrame", where=where, received=type(whole).__name__
            )
        if whole.height != frame.height:
            raise UsageError(
                f"{FEATURES_HOOK} must keep every row, in order",
                where=where,
                received=f"{whole.height} rows for {frame.height}",
            )
        return whole

    def _expect_row_wise(self, frame: pl.DataFrame, whole: pl.DataFrame) -> None:
        count = min(PROBE_ROWS, frame.height - 1)
        alone, together = self._featured(frame.head(count)), whole.head(count)
        other = [name for name in together.columns if name not in alone or not alone[name].equals(together[name])]
        if other:
            raise UsageError(
                f"{FEATURES_HOOK} gives rows other values when other rows are with them",
                where=f"{self.package}/{FEATURES_FILE}",
                received="differences in " + ", ".join(other),
                allowed="features that are computed from the values of their own row",
                next_step="sums, means and ranks over the table are what training is for, not features",
            )


def load_plugins(root: Path) -> Plugins:
    """The project's own features and checks; empty ones where it has none.

    Raises UsageError for code that cannot be imported, and for two packages with hooks.
    """
    if not (root / RECIPE_FILE).is_file():
        return Plugins()
    packages = [path.parent for path in sorted(root.glob("*/__init__.py")) if _has_hooks(path.parent)]
    if len(packages) > 1:
        raise UsageError(
            "more than one folder holds features or checks of this project",
            where=str(root),
            received=", ".join(path.name for path in packages),
            allowed="one",
        )
    return _load(packages[0]) if packages else Plugins()


def load_kept(folder: Path, expected_hash: str) -> Plugins:
    """The code that a version was trained with, out of its folder. Raises ArtifactError when it was changed."""
    if not expected_hash:
        return Plugins()
    packages = [path for path in sorted((folder / KEPT_FOLDER).glob("*")) if path.is_dir()]
    if len(packages) != 1 or _hash(_sources(packages[0])) != expected_hash:
        raise ArtifactError(
            "the features that this version was trained with were changed or lost, and were not run",
            where=str(folder / KEPT_FOLDER),
            next_step="restore the folder from a backup, or retrain",
        )
    return _load(packages[0])


def _load(package: Path) -> Plugins:
    sources = _sources(package)
    add_features: AddFeatures | None = None
    checks: tuple[OwnCheck, ...] = ()
    with _IMPORTING:
        _import_package(package)
        if FEATURES_HOOK in _functions(package / FEATURES_FILE):
            add_features = getattr(_import(f"{package.name}.{FEATURES_FILE[:-3]}"), FEATURES_HOOK)
        names = [name for name in _functions(package / CHECKS_FILE) if name.startswith(CHECK_PREFIX)]
        if names:
            module = _import(f"{package.name}.{CHECKS_FILE[:-3]}")
            checks = tuple(getattr(module, name) for name in names)
    return Plugins(package.name, _hash(sources), add_features, checks, sources)


def _import_package(package: Path) -> None:
    """Import the folder under its own name, afresh: another project may have had a package of this name."""
    name = package.name
    if _belongs_to_others(name, package):
        raise UsageError("this folder has the name of a Python module", where=str(package), next_step="rename it")
    for stale in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
        del sys.modules[stale]
    spec = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _IMPORTED.add(name)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        raise _failed(f"importing {name}", problem) from problem


def _belongs_to_others(name: str, package: Path) -> bool:
    if name in sys.stdlib_module_names:
        return True
    known = sys.modules.get(name)
    return known is not None and name not in _IMPORTED and list(getattr(known, "__path__", ())) != [str(package)]


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as problem:
        raise _failed(f"importing {name}", problem) from problem


def _has_hooks(package: Path) -> bool:
    names = _functions(package / FEATURES_FILE)
    return FEATURES_HOOK in names or any(name.startswith(CHECK_PREFIX) for name in _functions(package / CHECKS_FILE))


def _functions(path: Path) -> list[str]:
    """Names of the functions at the top of a file, read without running it. Raises UsageError for broken code."""
    if not path.is_file():
        return []
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as problem:
        line = getattr(problem, "lineno", None)
        raise UsageError(f"this is not Python: {problem}", where=f"{path}:{line}" if line else str(path)) from problem
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _sources(package: Path) -> dict[str, bytes]:
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(package.rglob("*.py"))}


def _hash(sources: dict[str, bytes]) -> str:
    """SHA-256 over names and contents, as hexadecimal text."""
    digest = hashlib.sha256()
    for name, content in sources.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _failed(what: str, problem: BaseException) -> UsageError:
    """An error out of the project's own code, with the line of it that failed (not that of a library it called)."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(NOT_THEIRS)]
    last = next(iter([*own[::-1], *frames[::-1]]), None)
    where = f"{last.filename}:{last.lineno}" if last else ""
    return UsageError(f"{what} failed: {type(problem).__name__}: {problem}", where=where)


def _warning(check: OwnCheck, message: str) -> Finding:
    title = (check.__doc__ or check.__name__.replace("_", " ")).strip().splitlines()[0].rstrip(".")
    code = re.sub(r"[^a-z0-9_]", "_", check.__name__.lower())
    return Finding(f"own_{code}", Severity.WARNING, title, message)

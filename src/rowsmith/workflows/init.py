"""A new project: the user's own repository, in which `rowsmith run` works at once."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from rowsmith.errors import StorageError, UsageError
from rowsmith.recipe import RECIPE_FILE
from rowsmith.version import __version__
from rowsmith.workflows.pins import pins
from rowsmith.workflows.quickstart import TARGET, tumour_table
from rowsmith.workflows.recipe_file import explained

TEMPLATES = "templates_project"
SUFFIX = ".template"
EXAMPLE = "data/example.csv"
# How long a first training should take: long enough to be good, short enough to wait for.
FIRST_SECONDS = 30.0
# The folders of the templates beside the package itself.
RESERVED = frozenset({"rowsmith", "tests", "data"})
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
AUTHOR = ("-c", "user.name=Rowsmith", "-c", "user.email=rowsmith@localhost")


@dataclass(frozen=True, slots=True)
class NewProject:
    """What was made. `files` are relative to `root`; `commit` is empty where git is not installed."""

    root: Path
    package: str
    files: tuple[str, ...]
    commit: str


def init_project(folder: Path) -> NewProject:
    """Make a project in `folder`, which is named after it and must be new or empty.

    All or nothing: the project is prepared beside the folder and then put in place. Raises UsageError for a name
    that cannot be used and for a folder that holds something; StorageError where it cannot be written.
    """
    root = folder.resolve()
    package = package_of(root.name)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(
            "there is something here already, and it will not be touched",
            where=str(root),
            allowed="a new or an empty folder",
            next_step="choose another name",
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as temporary:
            prepared = Path(temporary)
            names = _write_files(prepared, root.name, package)
            commit = _first_commit(prepared)
            root.mkdir(exist_ok=True)
            for child in sorted(prepared.iterdir()):
                shutil.move(child, root / child.name)
    except OSError as problem:
        raise StorageError(f"cannot make the project: {problem.strerror}", where=str(root)) from problem
    return NewProject(root, package, names, commit)


def package_of(name: str) -> str:
    """The Python package for a project of this name. Raises UsageError, with a name that would do."""
    package = re.sub(r"[.-]+", "_", name.lower())
    reason = ""
    if not NAME.fullmatch(name) or not package.isidentifier():
        reason = "a project's name is also that of its Python package"
    elif keyword.iskeyword(package) or keyword.issoftkeyword(package):
        reason = "this is a word of the Python language"
    elif package in sys.stdlib_module_names or package in RESERVED or PathFinder.find_spec(package):
        reason = "a Python module of this name exists already"
    if reason:
        raise UsageError(
            f"a project cannot have this name: {reason}",
            received=repr(name),
            allowed="a letter, then letters, digits, -, _ and .; at most 63 in all",
            next_step=f"for example: rowsmith init {suggested(name)}",
        )
    return package


def suggested(name: str) -> str:
    """A name that can be used and that looks like this one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-").lower().lstrip("0123456789-")[:40].rstrip("-")
    return f"{plain}-model" if plain else "my-model"


def _write_files(root: Path, name: str, package: str) -> tuple[str, ...]:
    words = {
        "@PROJECT@": name,
        "@PACKAGE@": package,
        "@ROWSMITH@": __version__,
        "@PYTHON@": "{}.{}".format(*sys.version_info),
        "@PINS@": "\n".join(pins()),
    }
    for parts, template in _templates(files("rowsmith").joinpath(TEMPLATES)):
        text = template.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path = root.joinpath(*(part.replace("dot_", ".", 1).replace("PACKAGE", package) for part in parts))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    chosen = {"name": name, "data": {"source": EXAMPLE}, "target": {"column": TARGET, "positive": "malignant"}}
    recipe = explained({**chosen, "train": {"seconds": FIRST_SECONDS}})
    (root / RECIPE_FILE).write_text(recipe, encoding="utf-8")
    (root / EXAMPLE).parent.mkdir()
    tumour_table().write_csv(root / EXAMPLE)
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))


def _templates(folder: Traversable, parts: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Traversable]]:
    """Each template file with its path in the project."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _templates(item, (*parts, item.name))
        elif item.name.endswith(SUFFIX):
            yield (*parts, item.name.removesuffix(SUFFIX)), item


def _first_commit(root: Path) -> str:
    """Make a git repository with everything in it; the commit's hash, empty without git."""
    if shutil.which("git") is None:
        return ""
    _git(root, "init", "--quiet", "--initial-branch=main")
    _git(root, "add", "--all")
    author = () if _git(root, "config", "user.email", may_fail=True) else AUTHOR
    # Neither a signing key nor a hook of the user's machine may stop the first commit.
    _git(root, *author, "-c", "commit.gpgsign=false", "-c", f"core.hooksPath={os.devnull}", "commit", "--quiet",
         "--message", "A new Rowsmith project")  # fmt: skip
    return _git(root, "rev-parse", "HEAD")


def _git(root: Path, *arguments: str, may_fail: bool = False) -> str:
    # Both folders are named, so that a GIT_DIR around us (in a hook, say) does not lead elsewhere.
    command = ["git", f"--git-dir={root / '.git'}", f"--work-tree={root}", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode and not may_fail:
        raise StorageError(f"git could not make the repository: {done.stderr.strip()}", where=str(root))
    return done.stdout.strip()

"""pyproject.toml is the one source; the lock, the conda environment and the built wheel agree with it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>.*?))? \\$", re.MULTILINE)
# What Flask is made of, and what only a type checker sees.
PARTS = {"werkzeug", "jinja2", "markupsafe", "_typeshed"}
UNWANTED = re.compile(r"torch|tensorflow|jax|nvidia|cuda|cupy|rapids|pyspark|jpype|h2o|py4j|triton")


def pins() -> dict[str, list[re.Match[str]]]:
    found: dict[str, list[re.Match[str]]] = {}
    for pin in PIN.finditer(LOCK):
        found.setdefault(canonicalize_name(pin["name"]), []).append(pin)
    return found


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_the_lock_fits_every_dependency(line: str) -> None:
    requirement = Requirement(line)
    found = pins().get(canonicalize_name(requirement.name), [])
    assert found, f"{requirement.name} is not in requirements.txt; run scripts/lock.py"
    assert all(requirement.specifier.contains(pin["version"]) for pin in found)


def test_every_pin_has_hashes_and_nothing_else_is_in_the_lock() -> None:
    lines = [line for line in LOCK.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    hashes = [line for line in lines if re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)]
    assert len(lines) - len(hashes) == len(list(PIN.finditer(LOCK)))
    for pin in PIN.finditer(LOCK):
        assert LOCK[pin.end() + 1 :].startswith("    --hash=sha256:"), pin["name"]


def test_the_lock_names_no_index_and_no_path() -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted|@ |^-e |(^|\s)/", LOCK, re.MULTILINE)


def test_the_default_install_has_no_torch_no_java_and_no_gpu_library() -> None:
    assert not [name for name in pins() if UNWANTED.search(name)]


def imported_by(folder: str) -> set[str]:
    """The top-level modules that the code of a folder imports, inside functions too, without the standard library."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("src", ("mlflow", "dask", "onnx", "otel", "cloud", "statistics", "signing")),
        ("tests", ("dev", "mlflow", "onnx", "otel")),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    """What another package happens to bring along may be gone with its next release."""
    optional = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    distributions = importlib.metadata.packages_distributions()
    # Official clients run in an environment of their own (serving/official_clients.py).
    own = {"rowsmith", "tests", "tritonclient"}
    missing = {
        module
        for module in imported_by(folder) - own - PARTS
        if not declared & {canonicalize_name(name) for name in distributions.get(module, [module])}
    }
    assert missing == set()


def test_the_extras_are_the_promised_ones() -> None:
    assert set(PROJECT["optional-dependencies"]) == {
        "dev",
        "mlflow",
        "dask",
        "onnx",
        "otel",
        "cloud",
        "signing",
        "statistics",
        "dlt",
    }


def test_environment_yml_is_valid_and_agrees_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["name"]
    assert all(isinstance(channel, str) for channel in environment["channels"])
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    nested = [item for item in environment["dependencies"] if isinstance(item, dict)]
    python = next(item.removeprefix("python=") for item in plain if item.startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    assert "pip" in plain, "conda asks for pip itself where there is a pip section"
    assert nested == [{"pip": ["--requirement requirements.txt"]}]


def test_setup_py_says_what_pyproject_cannot_and_no_more() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert "ext_modules" in text and "optional=True" in text, "without a compiler the installation goes on"
    assert not any(word in text for word in ("version=", "install_requires", "packages=", "name="))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a clone would have it: nothing that git ignores."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    target = tmp_path_factory.mktemp("clone")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.mark.slow
def test_sdist_and_wheel_build_and_hold_every_file(clone: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "out", "."]
    done = subprocess.run(build, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    # The wheel is built from the sdist, so that it shows what both hold.
    (wheel,) = (clone / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        entry_points = archive.read(next(name for name in held if name.endswith("entry_points.txt"))).decode()
    source = clone / "src"
    expected = {path.relative_to(source).as_posix() for path in (source / "rowsmith").rglob("*") if path.is_file()}
    assert expected <= held, sorted(expected - held)
    assert "rowsmith = rowsmith.cli:main" in entry_points
    assert not [name for name in held if name.startswith(("tests", "benchmarks"))]

"""The documentation against the code: references are current, links lead somewhere, examples can be typed."""

from __future__ import annotations

import re
import runpy
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from rowsmith.cli.app import app
from rowsmith.recipe import Recipe

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
REFERENCE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "make_reference.py"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WAIT = "for i in $(seq 100); do (: > /dev/tcp/127.0.0.1/8765) 2> /dev/null && break; sleep 0.1; done"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for path in PAGES:
        for found, text in BLOCK.findall(path.read_text(encoding="utf-8")):
            if found == language:
                yield name_of(path), text


def command_lines() -> Iterator[Any]:
    """Every line of the docs that a reader may type and that calls `rowsmith`."""
    for page, text in blocks(""):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\|", line.split(" > ")[0]):
                words = shlex.split(part, comments=True)
                if words[:1] == ["rowsmith"] and len(words) > 1:
                    yield pytest.param(words[1:], id=f"{page}: {' '.join(words)}")


@pytest.mark.parametrize("page", REFERENCE["PAGES"])
def test_the_reference_is_current(page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == REFERENCE["page"](page), "run: python scripts/make_reference.py"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_linked() -> None:
    linked = {
        (path.parent / link).resolve()
        for path in PAGES
        for link in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in link
    }
    pages = {path.resolve() for path in PAGES if path.parent.name in {"guide", "reference"}}
    assert pages - linked == set()


@pytest.mark.parametrize("words", list(command_lines()))
def test_command_lines_can_be_typed(words: list[str]) -> None:
    """Parsed as the command line parses them, without being run."""
    if words[-1] == "[OPTIONS]" or words[0].isupper():
        words = [re.sub(r"[\[\]]", "", word) for word in words[:-1]]
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize(("page", "text"), list(blocks("toml")))
def test_recipes_can_be_read(page: str, text: str) -> None:
    Recipe.from_dict(tomllib.loads(text), where=page)


@pytest.mark.parametrize(("page", "text"), list(blocks("python")))
def test_python_is_python(page: str, text: str) -> None:
    compile(text, page, "exec")


@pytest.mark.parametrize(
    ("page", "says"), [("http-apis.md", "3 rows, 3 columns"), ("web-pages.md", "2 rows, 3 columns")]
)
def test_commands_of_a_page_work_as_printed(page: str, says: str, tmp_path: Path) -> None:
    """Those between ```bash, in a folder of their own; the port is the only thing that differs."""
    text = (ROOT / "docs" / "guide" / page).read_text(encoding="utf-8")
    script = next(block for language, block in BLOCK.findall(text) if language == "bash")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = ["python -m http.server 8765 --bind 127.0.0.1 &", "trap 'kill $!' EXIT", WAIT]
    script = script.replace(server[0], "\n".join(server)).replace("8765", port)
    script = script.replace("python ", f"{sys.executable} ").replace(
        "rowsmith ingest", f"{sys.executable} -m rowsmith ingest"
    )
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout


def test_the_readme_says_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\npip install . && rowsmith quickstart\n" in text
    assert '\npip install -e ".[dev]" && pytest\n' in text


def test_ci_does_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '-e ".[dev]"' in script
    assert script.rstrip().splitlines()[-1].startswith("pytest")


def test_contributing_names_files_and_lists_that_exist() -> None:
    rows = [
        line for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines() if line.startswith("| a ")
    ]
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert len(rows) >= 9
    for row in rows:
        read, listed_in = row.split("|")[2], row.split("|")[4]
        for name in re.findall(r"`([\w/]+\.py)`", read):
            assert list((ROOT / "src" / "rowsmith").rglob(name.split("/")[-1])), name
        for name in re.findall(r"`([A-Z_]+)`", listed_in):
            assert re.search(rf"^{name}\b", source, re.MULTILINE), name


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in folder.glob("0*.md") if f"]({path.name})" not in listed]


def test_the_tests_that_the_security_page_names_exist_and_test_something() -> None:
    page = (ROOT / "docs" / "guide" / "security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[^`]+)`", page))
    rows = [line for line in page.splitlines() if re.match(r"\| (API|ML)\d+ ", line)]
    assert len(rows) == 20 and all("`tests/" in row for row in rows)
    for name in named:
        assert "def test_" in (ROOT / name).read_text(encoding="utf-8"), name

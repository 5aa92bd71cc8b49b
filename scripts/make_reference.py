"""Write docs/reference/ from the code: commands, settings, errors, recipe, metrics, checks.

python scripts/make_reference.py           # writes the pages
python scripts/make_reference.py --check   # only says which are stale, and ends with 1 when one is
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from rowsmith import errors
from rowsmith.cli.app import COMMANDS, GROUPS, app
from rowsmith.evaluation.metrics import METRICS, default_metric
from rowsmith.ingestion.checks import CHECKS
from rowsmith.settings import SETTINGS
from rowsmith.types import Task
from rowsmith.workflows.recipe_file import choices, section_sentence

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Made by scripts/make_reference.py from the code; edit that instead. -->"
EXIT_CODES = (
    (0, "done"),
    (1, "an error of ours: the store, a damaged model, a fault of the program; `verify` found a difference"),
    (2, "wrong usage: the command line, the recipe, a setting, something that does not exist"),
    (3, "bad data: rows that cannot be read or do not fit; a check found an error"),
    (4, "a gate refused: the version is kept, and the champion stays"),
    (5, "`rowsmith monitor` says that something has to be done"),
    (130, "interrupted with Ctrl-C"),
)

Lines = Iterator[str]


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Lines:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def cli() -> Lines:
    yield "# Commands"
    yield ""
    yield "Every command takes `--json`: standard output is then one JSON document and nothing else, errors included"
    yield '(`{"error": {"type", "what", "where", "received", "allowed", "next_step", "exit_code"}}`). Progress goes to'
    yield "standard error: a live line in a terminal, plain lines elsewhere. `NO_COLOR` is honoured."
    yield ""
    yield from table(("exit code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES))
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for panel, functions in COMMANDS:
        yield ""
        yield f"## {panel}"
        for function in functions:
            yield ""
            yield from _command(function.__name__, commands[function.__name__])
        for group_panel, group, text, members in GROUPS:
            if group_panel == panel:
                yield ""
                yield f"### rowsmith {group}"
                yield ""
                yield inspect.cleandoc(text)
                for member in members:
                    yield ""
                    yield from _command(f"{group} {member.__name__}", commands[group].commands[member.__name__])


def _command(name: str, command: Any) -> Lines:
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    usage = " ".join(item.metavar if item.required else f"[{item.metavar}]" for item in arguments)
    yield f"### rowsmith {name}"
    yield ""
    yield "```"
    required = " ".join(
        f"{item.opts[0]} {item.metavar}" for item in command.params if item.required and item.opts[0][0] == "-"
    )
    yield " ".join(part for part in ("rowsmith", name, usage, required, "[OPTIONS]") if part)
    yield "```"
    for paragraph in (command.help or "").split("\n\n"):
        yield ""
        example = paragraph.removeprefix("[dim]Example:[/] ")
        yield f"Example: `{example}`" if example != paragraph else paragraph
    yield ""
    yield from table(("option", "meaning"), ((_spelling(item), _meaning(item)) for item in command.params))


def _spelling(item: Any) -> str:
    if item.param_type_name == "argument":
        return f"`{item.metavar}`"
    names = ", ".join(f"`{option}`" for option in (*item.opts, *item.secondary_opts))
    return names if item.is_flag or not item.metavar else f"{names} `{item.metavar}`"


def _meaning(item: Any) -> str:
    default = item.show_default if isinstance(item.show_default, str) else item.default
    if item.is_eager or default is None or default in (False, "") or callable(default):
        return str(item.help)
    if item.secondary_opts:
        default = item.opts[0] if default is True else item.secondary_opts[0]
    return f"{item.help} Default: {default if default != Path() else 'this folder'}."


def settings() -> Lines:
    yield "# Settings"
    yield ""
    yield "Where this installation runs is said by environment variables; what to train is said by the"
    yield "[recipe](recipe.md). Secrets, such as a database URL with a password, come this way, never as an argument."
    yield ""
    rows = ((f"`{s.variable}`", _default(s.default), s.sentence) for s in SETTINGS)
    yield from table(("variable", "default", "meaning"), rows)


def _default(value: Any) -> str:
    return "" if value in ("", None) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def errors_page() -> Lines:
    yield "# Errors"
    yield ""
    yield "Whatever Rowsmith raises on purpose is one of these, all importable from `rowsmith`. A message says what is"
    yield "wrong, where, what was received, what is allowed, and what to do next; the same parts are attributes of the"
    yield "error (`what`, `where`, `received`, `allowed`, `next_step`) and fields of the answer under `--json`."
    yield ""
    yield "```"
    yield from inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1].splitlines()
    yield "```"
    yield ""
    family = [v for v in vars(errors).values() if inspect.isclass(v) and issubclass(v, errors.RowsmithError)]
    rows = ((f"`{kind.__name__}`", str(kind.exit_code), _first_paragraph(kind)) for kind in family)
    yield from table(("error", "exit code", "meaning"), rows)
    yield ""
    yield "## Faults"
    yield ""
    yield "A `SchemaError` lists every fault in `faults`, not only the first:"
    yield ""
    yield from inspect.cleandoc(errors.Fault.__doc__ or "").splitlines()


def _first_paragraph(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]


def recipe() -> Lines:
    yield "# Recipe"
    yield ""
    yield "What to train, in `rowsmith.toml`. Every key may be left out. `rowsmith init` writes a file in which each"
    yield "stands with its sentence. The recipe is kept with every version, and its hash is part of the lineage."
    section = None
    for choice in choices():
        if choice.section != section:
            section = choice.section
            yield ""
            if section:
                yield f"## [{section}]"
                yield ""
                yield section_sentence(section)
                yield ""
            yield from table(("key", "meaning", "allowed", "default"), _choices_of(section))


def _choices_of(section: str) -> Iterator[tuple[str, ...]]:
    for choice in choices():
        if choice.section == section:
            default = "" if choice.default is None else f"`{json.dumps(choice.default)}`"
            yield f"`{choice.key}`", choice.sentence, choice.allowed, default


def metrics() -> Lines:
    yield "# Metrics"
    yield ""
    yield "Named by `metric` under `[target]` of the recipe, `--metric` or `rowsmith.train(metric=...)`. Without one:"
    yield ", ".join(f"`{default_metric(task).name}` for {task.value}" for task in Task) + "."
    yield ""
    rows = (
        (f"`{m.name}`", m.title, _tasks(m.tasks), "higher" if m.greater_is_better else "lower", m.needs, m.source)
        for m in METRICS
    )
    yield from table(("name", "title", "tasks", "better is", "computed from", "source"), rows)


def _tasks(tasks: frozenset[Task]) -> str:
    return ", ".join(task.value for task in Task if task in tasks)


def checks() -> Lines:
    yield "# Checks"
    yield ""
    yield "Run by `rowsmith check`, and before every training. An error stops the training, unless its code is listed"
    yield "under `[checks] ignore` of the recipe; warnings and information are shown and kept in the report. A check"
    yield "that does not apply to a table says so. Your own go into `checks.py` of your project."
    yield ""
    rows = ((f"`{check.code}`", check.severity.value, check.title, _module_words(check.function)) for check in CHECKS)
    yield from table(("code", "severity, unless it says", "title", "what it looks for"), rows)


def _module_words(function: Callable[..., Any]) -> str:
    """What the file of a function says of itself."""
    return " ".join(inspect.cleandoc(inspect.getmodule(function).__doc__ or "").split())


PAGES: dict[str, Callable[[], Lines]] = {
    "cli.md": cli,
    "settings.md": settings,
    "errors.md": errors_page,
    "recipe.md": recipe,
    "metrics.md": metrics,
    "checks.md": checks,
}


def page(name: str) -> str:
    """The text of one page."""
    return "\n".join((NOTE, "", *PAGES[name]())).rstrip() + "\n"


def main() -> None:
    stale = [name for name in PAGES if not _is_current(name)]
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(stale)}; run python scripts/make_reference.py" if stale else 0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(page(name), encoding="utf-8")
        print(f"wrote {FOLDER / name}")


def _is_current(name: str) -> bool:
    path = FOLDER / name
    return path.exists() and path.read_text(encoding="utf-8") == page(name)


if __name__ == "__main__":
    main()

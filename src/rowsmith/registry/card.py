"""The model card: what a stranger must know about a model before using it, in the Hugging Face format.

The format: Markdown under YAML front matter, https://huggingface.co/docs/hub/model-cards. The sections follow
Mitchell et al. 2019, Model Cards for Model Reporting, doi:10.1145/3287560.3287596.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MODEL = "model"
SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
PIPELINES = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
}
TASKS = {
    "binary": "one of two labels",
    "multiclass": "one of several labels",
    "regression": "a number, with an interval",
}
SYSTEMS = {"model": "This model", "dummy": "Same answer for every row"}
NOT_INPUT = frozenset({"target", "ignored", "group", "weight", "subject_id"})
NOT_INPUT_KINDS = frozenset({"identifier", "constant"})
COLUMNS_SHOWN = 40


def model_card(document: Mapping[str, Any]) -> str:
    """The report's document (see evaluation/report) as Markdown. A `license` in it is stated, none is made up."""
    evaluation = document["evaluation"]
    parts = [
        _front_matter(document),
        f"# {_md(document['title'])}",
        f"A model that predicts {_code(evaluation['target'])}: {TASKS[evaluation['task']]}. "
        "It was trained on one table, by Rowsmith.",
        *_section("Intended use", _intended_use(document)),
        *_section("How to get started", _get_started(document)),
        *_section("Data", _data(document)),
        *_section("Evaluation", _evaluation(evaluation)),
        *_section("What the answers rest on", _importance(evaluation)),
        *_section("Fairness", _fairness(evaluation)),
        *_section("Limitations", _limitations(document)),
        *_section("How it was made", _origin(document)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(document: Mapping[str, Any]) -> str:
    """YAML; JSON values are YAML values, so every text is quoted as JSON."""
    evaluation = document["evaluation"]
    pipeline = PIPELINES[evaluation["task"]]
    results = _results(evaluation)
    lines = ["---"]
    if document.get("license"):
        lines.append(f"license: {_yaml(document['license'])}")
    lines += [
        "library_name: rowsmith",
        f"pipeline_tag: {pipeline}",
        "tags:",
        *(f"- {tag}" for tag in ("tabular", pipeline, "rowsmith")),
        "metrics:",
        *(f"- {name}" for name, _ in results),
    ]
    if results:
        lines += [
            "model-index:",
            f"- name: {_yaml(_name(document))}",
            "  results:",
            "  - task:",
            f"      type: {pipeline}",
            "    dataset:",
            "      type: tabular",
            f"      name: {_yaml(_dataset(document))}",
            "      split: test",
            "    metrics:",
        ]
        for name, value in results:
            lines += [f"    - type: {name}", f"      value: {_yaml(value)}"]
    return "\n".join([*lines, "---"])


def _yaml(value: Any) -> str:
    """A scalar: JSON, with what YAML forbids in a quoted text escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in text)


def _name(document: Mapping[str, Any]) -> str:
    return str(document.get("name") or (document.get("recipe") or {}).get("name") or document["title"])


def _dataset(document: Mapping[str, Any]) -> str:
    return str((document.get("lineage") or {}).get("source") or "the table it was trained on")


def _results(evaluation: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Every defined score of the model, the main one first."""
    scores = evaluation["scores"].get(MODEL, {})
    return [(name, item["value"]) for name, item in scores.items() if item["value"] is not None]


def _intended_use(document: Mapping[str, Any]) -> str:
    evaluation = document["evaluation"]
    return (
        f"Predicting {_code(evaluation['target'])} for rows of the same kind, from the same source, as those it was "
        "trained on, to support a person who decides. It tells what goes together in those rows, not what causes "
        "what. It was not made for decisions about people without a person answering for them."
    )


def _get_started(document: Mapping[str, Any]) -> str:
    columns = [column for column in (document.get("schema") or {}).get("columns", ()) if _is_input(column)]
    row = {column["name"]: column.get("typical") for column in columns[:COLUMNS_SHOWN] if column["kind"] != "text"}
    row |= {column["name"]: "some text" for column in columns[:COLUMNS_SHOWN] if column["kind"] == "text"}
    body = "".join(f"    {name!r}: {value!r},\n" for name, value in row.items())
    more = f"    # and {len(columns) - COLUMNS_SHOWN} more columns\n" if len(columns) > COLUMNS_SHOWN else ""
    code = f'import rowsmith\n\nmodel = rowsmith.load("model/")\nprint(model.predict_row({{\n{body}{more}}}))'
    return _fenced(code, "python")


def _is_input(column: Mapping[str, Any]) -> bool:
    return column["kind"] not in NOT_INPUT_KINDS and not NOT_INPUT.intersection(column.get("roles", ()))


def _data(document: Mapping[str, Any]) -> str:
    lineage, evaluation = document.get("lineage") or {}, document["evaluation"]
    columns = (document.get("schema") or {}).get("columns", ())
    trained = f"{lineage['rows_trained']:,} rows to learn from, " if lineage.get("rows_trained") else ""
    source = f"Source: {_code(lineage['source'])}. " if lineage.get("source") else ""
    snapshot = f"Snapshot: {_code(str(lineage['snapshot']))}. " if lineage.get("snapshot") else ""
    facts = f"{source}{snapshot}{trained}{evaluation['rows']:,} rows kept aside for one final test."
    rows = [
        (_cell(column["name"]), column["kind"], ", ".join(column.get("roles", ())), _share(column.get("missing", 0.0)))
        for column in columns
    ]
    table = _table(("Column", "Kind", "Role", "Missing"), rows) if rows else ""
    findings = [
        f"- {finding['severity']}: {_md(finding['title'])}. {_md(finding['message'])}"
        for finding in document.get("findings") or ()
        if finding["severity"] != "info"
    ]
    listed = "The checks of the data found:\n\n" + "\n".join(findings) if findings else ""
    return _join(facts[0].upper() + facts[1:], table, listed)


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    summary = evaluation.get("summary") or {}
    told = [_md(line) for key in ("good", "compared", "sure") for line in summary.get(key, ())]
    if evaluation["rows"] == 0:
        return _join("No rows were kept aside, so this model was never tested.", *told)
    systems = [MODEL, *sorted((name for name in evaluation["scores"] if name != MODEL), reverse=True)]
    rows = [
        (
            f"**{_md(metric['title'])}**" if metric["name"] == evaluation["metric"] else _md(metric["title"]),
            *(_score(evaluation["scores"][system][metric["name"]]) for system in systems),
        )
        for metric in evaluation["metrics"]
    ]
    heads = ("Score", *(SYSTEMS.get(system, f"Simple {system} model") for system in systems))
    level = _share(evaluation["confidence"])
    note = f"In brackets: {level} intervals by bootstrap. The model was chosen by the score in bold."
    return _join("\n".join(told), _table(heads, rows), note)


def _importance(evaluation: Mapping[str, Any]) -> str:
    items = [item for item in evaluation["importance"] if item["drop"] is not None and item["drop"] > 0][:10]
    if not items:
        return ""
    title = next(metric["title"] for metric in evaluation["metrics"] if metric["name"] == evaluation["metric"])
    rows = [(_cell(item["column"]), _number(item["drop"])) for item in items]
    return _join(
        f"How much worse {_md(title)} gets when the values of one column are shuffled (permutation importance).",
        _table(("Column", "Worse by"), rows),
    )


def _fairness(evaluation: Mapping[str, Any]) -> str:
    if not evaluation["fairness"]:
        return "No column was declared sensitive, so groups of people were not compared."
    parts = [part for item in evaluation["fairness"] for part in _groups(item)]
    meanings = {gap["name"]: gap["meaning"] for item in evaluation["fairness"] for gap in item["gaps"]}
    told = [f"- {_plain(name)}: {_md(meaning)}" for name, meaning in meanings.items()]
    return _join(*parts, "\n".join(told))


def _groups(item: Mapping[str, Any]) -> list[str]:
    """The gaps between the groups of one column, and which groups were too small."""
    rows = [
        (
            _plain(gap["name"]),
            _number(gap["difference"]),
            _number(gap["ratio"]),
            _md(gap["highest"]),
            _md(gap["lowest"]),
        )
        for gap in item["gaps"]
    ]
    heads = ("Gap", "Difference", "Ratio", "Highest", "Lowest")
    small = [_md(group["label"]) for group in item["groups"] if group["small"]]
    return [
        f"Groups of {_code(item['column'])}:",
        _table(heads, rows) if rows else "No two groups are large enough to compare.",
        f"Left out for having under {item['min_rows']} rows: {', '.join(small)}." if small else "",
    ]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _limitations(document: Mapping[str, Any]) -> str:
    watch = (document["evaluation"].get("summary") or {}).get("watch", ())
    usual = (
        "The figures hold for rows like those of the test. When the world changes, they no longer do: watch for drift.",
        "Values outside the range of training, and levels that it never saw, are answered by extrapolation.",
    )
    return "\n".join(f"- {_md(line)}" for line in (*watch, *usual))


def _origin(document: Mapping[str, Any]) -> str:
    lineage = document.get("lineage") or {}
    shown = ("created", "rowsmith", "python", "platform", "seed", "recipe", "train_seconds", "artifact")
    rows = [(key.replace("_", " "), _cell(str(lineage[key]))) for key in shown if lineage.get(key) is not None]
    return _table(("Fact", "Value"), rows) if rows else ""


# -- Markdown ----------------------------------------------------------------------------------------------


def _md(text: Any) -> str:
    """Text that stays text: no markup, no HTML, one line."""
    return SPECIAL.sub(r"\\\1", html.escape(" ".join(str(text).split()), quote=False))


def _code(text: str) -> str:
    """Text in a code span."""
    line = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _cell(text: str) -> str:
    """A code span in a table, whose separator wins even there."""
    return _code(text).replace("|", "\\|")


def _fenced(code: str, language: str) -> str:
    fence = "`" * max(max((len(run) for run in re.findall("`+", code)), default=0) + 1, 3)
    return f"{fence}{language}\n{code}\n{fence}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(title: str, body: str) -> tuple[str, ...]:
    return (f"## {title}", body) if body else ()


def _join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _score(item: Mapping[str, Any]) -> str:
    if item["value"] is None:
        return "not defined"
    low, high = item["low"], item["high"]
    ends = "" if low is None or low == high else f" ({_number(low)} to {_number(high)})"
    return _number(item["value"]) + ends


def _share(value: float) -> str:
    return f"{100 * value:.3g}%"

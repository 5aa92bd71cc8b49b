from __future__ import annotations

import copy
import json
import re
from typing import Any

import yaml
from markdown_it import MarkdownIt

from rowsmith.registry.card import model_card

GAP = {
    "name": "demographic_parity",
    "difference": 0.25,
    "ratio": 0.5,
    "highest": "male",
    "lowest": "female",
    "meaning": "How much more often one group is answered with the event than another.",
}
DOCUMENT: dict[str, Any] = {
    "title": "loans: default",
    "name": "loans",
    "recipe": {"name": "loans"},
    "schema": {
        "columns": [
            {"name": "age", "kind": "integer", "roles": ["sensitive"], "typical": 41.0, "missing": 0.125},
            {"name": "purpose", "kind": "category", "typical": "car", "categories": ["car", "house"], "level_count": 2},
            {"name": "note", "kind": "text", "typical": "a secret"},
            {"name": "id", "kind": "identifier"},
            {"name": "branch", "kind": "category", "roles": ["ignored"], "typical": "north"},
            {"name": "default", "kind": "category", "roles": ["target"], "typical": "no"},
        ]
    },
    "findings": [
        {"code": "a", "severity": "warning", "title": "Duplicate rows", "message": "Two rows are alike."},
        {"code": "b", "severity": "info", "title": "A constant column", "message": "It says nothing."},
    ],
    "evaluation": {
        "task": "binary",
        "target": "default",
        "metric": "roc_auc",
        "rows": 1000,
        "confidence": 0.95,
        "metrics": [
            {"name": "roc_auc", "title": "ROC AUC", "greater_is_better": True},
            {"name": "f1", "title": "F1", "greater_is_better": True},
        ],
        "scores": {
            "model": {
                "roc_auc": {"value": 0.91, "low": 0.9, "high": 0.92},
                "f1": {"value": None, "low": None, "high": None},
            },
            "dummy": {
                "roc_auc": {"value": 0.5, "low": 0.5, "high": 0.5},
                "f1": {"value": 0.1, "low": None, "high": None},
            },
        },
        "importance": [{"column": "age", "drop": 0.1}, {"column": "purpose", "drop": None}],
        "fairness": [
            {
                "column": "age",
                "min_rows": 30,
                "groups": [{"label": "18 to 20", "small": True}, {"label": "21 to 90", "small": False}],
                "gaps": [GAP],
            }
        ],
        "summary": {"good": ["It is good."], "compared": [], "sure": [], "watch": ["Mind the gap."]},
    },
    "lineage": {"source": "loans.csv", "snapshot": "abc", "rows_trained": 4000, "rowsmith": "0.1.0", "seed": 0},
}


def front_matter(card: str) -> Any:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("\n---\n")[0][4:])


def sections(card: str) -> dict[str, str]:
    return {part.split("\n", 1)[0]: part for part in card.split("\n## ")[1:]}


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = front_matter(model_card(DOCUMENT))
    assert data["library_name"] == "rowsmith"
    assert data["pipeline_tag"] == "tabular-classification"
    assert data["metrics"] == ["roc_auc"]
    assert "license" not in data
    (index,) = data["model-index"]
    assert index["name"] == "loans"
    (result,) = index["results"]
    assert result["task"] == {"type": "tabular-classification"}
    assert result["dataset"] == {"type": "tabular", "name": "loans.csv", "split": "test"}
    assert result["metrics"] == [{"type": "roc_auc", "value": 0.91}]


def test_a_licence_is_stated_where_there_is_one() -> None:
    assert front_matter(model_card(DOCUMENT | {"license": "apache-2.0"}))["license"] == "apache-2.0"


def test_every_section_is_there_and_says_its_piece() -> None:
    found = sections(model_card(DOCUMENT))
    assert list(found) == [
        "Intended use",
        "How to get started",
        "Data",
        "Evaluation",
        "What the answers rest on",
        "Fairness",
        "Limitations",
        "How it was made",
    ]
    assert "4,000 rows to learn from, 1,000 rows kept aside" in found["Data"]
    assert "| `age` | integer | sensitive | 12.5% |" in found["Data"]
    assert "Duplicate rows" in found["Data"]
    assert "constant" not in found["Data"]
    assert "| **ROC AUC** | 0.91 (0.9 to 0.92) | 0.5 |" in found["Evaluation"]
    assert "| F1 | not defined | 0.1 |" in found["Evaluation"]
    assert "It is good." in found["Evaluation"]
    assert "| demographic parity | 0.25 | 0.5 | male | female |" in found["Fairness"]
    assert "under 30 rows: 18 to 20." in found["Fairness"]
    assert "Mind the gap." in found["Limitations"]


def test_the_example_takes_the_inputs_alone_and_runs() -> None:
    code = sections(model_card(DOCUMENT))["How to get started"].split("```")[1].removeprefix("python\n")
    rows: list[Any] = []
    model = type("Model", (), {"predict_row": staticmethod(rows.append)})
    exec(code.replace('rowsmith.load("model/")', "model").replace("import rowsmith\n", ""), {"model": model})
    assert rows == [{"age": 41.0, "purpose": "car", "note": "some text"}]


def test_without_a_test_or_sensitive_columns_it_says_so() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["evaluation"] |= {"rows": 0, "fairness": [], "importance": []}
    document["evaluation"]["scores"]["model"]["roc_auc"]["value"] = None
    card = model_card(document)
    found = sections(card)
    assert "never tested" in found["Evaluation"]
    assert "groups of people were not compared" in found["Fairness"]
    assert "What the answers rest on" not in found
    assert "model-index" not in front_matter(card)


def test_a_document_of_an_evaluation_alone() -> None:
    card = model_card({"title": "bare", "evaluation": DOCUMENT["evaluation"]})
    assert front_matter(card)["model-index"][0]["name"] == "bare"


def test_hostile_names_stay_text() -> None:
    evil = 'a|b`c``<script>alert(1)</script>\n---\n# *x* [y](http://z) "q": \u2028\x7f\U0001f600'
    text = json.dumps(DOCUMENT)
    for name in ("age", "car", "purpose", "loans", "loans.csv", "Duplicate rows", "male", "It is good.", "default"):
        text = text.replace(json.dumps(name), json.dumps(evil + name))
    card = model_card(json.loads(text))
    data = front_matter(card)
    assert data["model-index"][0]["name"] == evil + "loans"
    assert data["model-index"][0]["results"][0]["dataset"]["name"] == evil + "loans.csv"
    tags = set(re.findall(r"<(\w+)", MarkdownIt("commonmark").enable("table").render(card.split("\n---\n", 1)[1])))
    assert not {"script", "img", "a", "em"} & tags
    assert list(sections(card)) == list(sections(model_card(DOCUMENT)))
    rows = [line for line in card.splitlines() if line.startswith("| ") and "integer" in line]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 5

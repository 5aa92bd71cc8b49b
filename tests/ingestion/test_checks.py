from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from rowsmith.ingestion.checks import run_checks
from rowsmith.ingestion.infer import infer_schema
from rowsmith.types import Finding, Severity
from tests.ingestion.tables import people, recipe

RANDOM = np.random.default_rng(0)
ROWS = 1200
TARGET = RANDOM.choice(["no", "yes"], ROWS, p=[0.7, 0.3])
NUMBERS = RANDOM.normal(size=ROWS)


def table(**columns: Any) -> pl.DataFrame:
    """A clean table with a target that nothing tells, and these columns besides."""
    return pl.DataFrame({"x": NUMBERS, "y": TARGET, **columns}, strict=False)


def findings(frame: pl.DataFrame, target: str | None = "y", **sections: Any) -> tuple[Finding, ...]:
    chosen = recipe(target, **sections)
    return run_checks(frame, infer_schema(frame, chosen), chosen)


def found(frame: pl.DataFrame, code: str, target: str | None = "y", **sections: Any) -> Finding:
    return next(finding for finding in findings(frame, target, **sections) if finding.code == code)


def test_a_clean_table_gives_no_findings() -> None:
    assert findings(table()) == ()


def test_identifiers() -> None:
    finding = found(table(customer_id=np.arange(ROWS) * 7), "identifier")
    assert (finding.severity, finding.columns) == (Severity.INFO, ("customer_id",))
    suspect = found(
        table(order_no=RANDOM.permutation(ROWS) // 1.3 // 1), "identifier", columns={"kinds": {"order_no": "integer"}}
    )
    assert (suspect.severity, suspect.columns) == (Severity.WARNING, ("order_no",))


def test_constants_and_columns_that_hardly_vary() -> None:
    frame = table(same="a", rarely=["b"] * 3 + ["a"] * (ROWS - 3))
    assert found(frame, "constant_columns").columns == ("same",)
    assert found(frame, "nearly_constant").columns == ("rarely",)


def test_duplicate_rows() -> None:
    frame = pl.concat([table(), table().head(60)])
    finding = found(frame, "duplicate_rows")
    assert finding.severity is Severity.WARNING
    assert finding.evidence == {"rows": 60, "share": 60 / (ROWS + 60)}
    by_number = frame.with_columns(number=pl.int_range(frame.height))
    assert all(seen.code != "duplicate_rows" for seen in findings(by_number))
    assert found(by_number, "duplicate_rows", columns={"ignore": ["number"]}).evidence["rows"] == 60


def test_targets_that_are_missing() -> None:
    finding = found(table().with_columns(y=pl.when(pl.int_range(pl.len()) >= 30).then("y")), "missing_target")
    assert (finding.severity, finding.evidence["rows"]) == (Severity.WARNING, 30)


@pytest.mark.parametrize(("rows", "severity"), [(9, Severity.ERROR), (50, Severity.WARNING)])
def test_few_rows(rows: int, severity: Severity) -> None:
    assert found(table().head(rows).with_columns(y=pl.int_range(pl.len()) % 2), "few_rows").severity is severity


def test_rare_classes() -> None:
    finding = found(table(y=["rare"] * 2 + list(TARGET[2:])), "rare_classes")
    assert (finding.severity, finding.evidence) == (Severity.WARNING, {"rows": {"rare": 2}})


def test_a_class_that_is_gone_is_an_error() -> None:
    chosen = recipe("y")
    schema = infer_schema(table(), chosen)
    only_no = table().filter(pl.col("y") == "no")
    assert run_checks(only_no, schema, chosen)[0].severity is Severity.ERROR
    strange = only_no.with_columns(y=pl.lit("perhaps"))
    assert "labels that the schema does not know" in run_checks(strange, schema, chosen)[0].message


def test_columns_that_are_mostly_missing() -> None:
    gaps = [1.5 if i % 50 == 0 else 2.5 if i % 51 == 0 else None for i in range(ROWS)]
    assert found(table(gaps=gaps), "missing_values").columns == ("gaps",)


def test_rows_without_a_time() -> None:
    frame = table(when=[None, *range(ROWS - 1)])
    assert found(frame, "missing_time", columns={"time": "when"}).columns == ("when",)


def test_numbers_stored_as_text() -> None:
    finding = found(table(price=[f"${i % 97}.50" for i in range(ROWS - 1)] + ["n/a"]), "text_numbers")
    assert finding.evidence == {"kinds": {"price": "number"}, "read_as_missing": {"price": ["n/a"]}}


# -- leakage -------------------------------------------------------------------------------------------------------

IS_YES = TARGET == "yes"
MANY = RANDOM.choice(["a", "b", "c"], ROWS)


@pytest.mark.parametrize(
    ("column", "target", "severity"),
    [
        (IS_YES, TARGET, Severity.ERROR),
        (np.where(IS_YES, "left", "stayed"), TARGET, Severity.ERROR),
        (np.where(IS_YES, RANDOM.choice(["died", "moved"], ROWS), "here"), TARGET, Severity.ERROR),
        ([None if yes else "2024" for yes in IS_YES], TARGET, Severity.ERROR),
        (np.where(IS_YES, 1, 0) + RANDOM.uniform(0, 0.9, ROWS), TARGET, Severity.ERROR),
        ([f"{v:.3f}" for v in np.where(IS_YES, 1, 0) + RANDOM.uniform(0, 0.9, ROWS)], TARGET, Severity.ERROR),
        (np.where(IS_YES, 1, 0) + RANDOM.normal(0, 0.2, ROWS), TARGET, Severity.WARNING),
        (np.where(IS_YES, 1, 0) + RANDOM.normal(0, 1, ROWS), TARGET, None),
        (np.char.add("code ", MANY), MANY, Severity.ERROR),
        (RANDOM.permutation(MANY), MANY, None),
        (NUMBERS * 2 + 1, NUMBERS, Severity.ERROR),
        (-np.exp(NUMBERS), NUMBERS, Severity.ERROR),
        (NUMBERS + RANDOM.normal(0, 0.1, ROWS), NUMBERS, Severity.WARNING),
        (NUMBERS + RANDOM.normal(0, 1, ROWS), NUMBERS, None),
        ([f"text number {i} of many words" for i in range(ROWS)], TARGET, None),
        (np.arange(ROWS) // 2, TARGET, None),
    ],
)
def test_columns_that_give_the_target_away(column: Any, target: Any, severity: Severity | None) -> None:
    frame = pl.DataFrame({"x": RANDOM.normal(size=ROWS), "z": column, "y": target}, strict=False)
    leaks = [finding for finding in findings(frame) if finding.code == "target_leakage"]
    assert [(leak.severity, leak.columns) for leak in leaks] == ([(severity, ("z",))] if severity else [])


def test_small_tables_part_by_nature() -> None:
    frame = pl.DataFrame({"length": [i / 10 for i in range(60)], "kind": ["a"] * 30 + ["b"] * 30})
    assert found(frame, "target_leakage", "kind").severity is Severity.WARNING


def test_accepted_findings_are_information() -> None:
    frame = table(z=IS_YES)
    finding = found(frame, "target_leakage", checks={"ignore": ["target_leakage"]})
    assert finding.severity is Severity.INFO and "accepted" in finding.title


def test_ignored_columns_are_not_looked_at() -> None:
    assert findings(table(z=IS_YES), columns={"ignore": ["z"]}) == ()


def test_errors_come_first() -> None:
    frame = pl.concat([table(z=IS_YES, same=1)] * 2)
    assert [finding.severity for finding in findings(frame)] == [Severity.ERROR, Severity.WARNING, Severity.INFO]


# -- personal data -------------------------------------------------------------------------------------------------

CARDS = ["4539 1488 0343 6467", "4556-7375-8689-9855", "6011000990139424"]
IBANS = ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR14 2004 1010 0505 0001 3M02 606"]


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("contact", ["ann@example.org", "b.c@example.co.uk"], "e-mail addresses"),
        ("notes", ["call ann@example.org about the order", "nothing to say about this one"], "e-mail addresses"),
        ("c1", CARDS, "bank accounts or cards"),
        ("c1", [4539148803436467, 4556737586899855], "bank accounts or cards"),
        ("c1", IBANS, "bank accounts or cards"),
        ("c1", ["+44 20 7946 0958", "(020) 7946 0958"], "phone numbers"),
        ("c1", ["192.168.0.1", "10.0.0.254"], "IP addresses"),
    ],
)
def test_personal_data_in_values(name: str, values: list[Any], what: str) -> None:
    finding = found(table(**{name: (values * ROWS)[:ROWS]}), "personal_data")
    assert finding.severity is Severity.WARNING and finding.columns == (name,)
    assert finding.evidence["what"] == what and finding.evidence["by"] == "values"
    assert not any(str(value) in str(finding.to_dict()) for value in values)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Name", "names of people"),
        ("lastName", "names of people"),
        ("date_of_birth", "dates of birth"),
        ("home-address", "postal addresses"),
        ("SSN", "national identity numbers"),
        ("phone", "phone numbers"),
    ],
)
def test_personal_data_by_name(name: str, what: str) -> None:
    finding = found(table(**{name: [f"value {i} of some words" for i in range(ROWS)]}), "personal_data")
    assert (finding.evidence["what"], finding.evidence["by"]) == (what, "name")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("product_name", ["red chair", "blue table"]),
        ("name", ["a", "b", "c"]),
        ("filename", [f"f{i}.txt of the folder {i}" for i in range(ROWS)]),
        ("amount", [1234.56, 99.5]),
        ("code", ["4539 1488 0343 6466", "1234 5678 9012 3456"]),
        ("day", ["2024-01-31", "2024-02-01"]),
        ("version", ["1.2.3", "10.0.1"]),
        ("phone_calls_made_today", [3, 4]),
    ],
)
def test_what_is_no_personal_data(name: str, values: list[Any]) -> None:
    assert all(f.code != "personal_data" for f in findings(table(**{name: (values * ROWS)[:ROWS]})))


def test_columns_that_are_set_aside_are_not_reported() -> None:
    frame = table(mail=[f"u{i}@example.org" for i in range(ROWS)])
    assert found(frame, "personal_data").columns == ("mail",)
    for columns in ({"ignore": ["mail"]}, {"subject_id": "mail"}):
        assert all(finding.code != "personal_data" for finding in findings(frame, columns=columns))


def test_findings_on_an_ordinary_table_are_few() -> None:
    assert [finding.code for finding in findings(people(500), "left")] == ["text_numbers"]


@pytest.mark.parametrize("text", ["a" * 100_000, "4" * 100_000, "GB82 WEST " * 10_000])
def test_long_texts_take_no_time(text: str) -> None:
    """Patterns that go back and forth over such texts would take hours."""
    findings(table(blob=[f"{text}{i}" for i in range(ROWS)]).head(50))


# -- what came in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "sentinels"),
    [
        (np.where(RANDOM.random(ROWS) < 0.05, -999, RANDOM.integers(18, 90, ROWS)), ["-999"]),
        (np.where(RANDOM.random(ROWS) < 0.05, 9999.0, RANDOM.normal(40, 9, ROWS)), ["9999"]),
        (RANDOM.choice([-9999, -999, *range(50)], ROWS), ["-9999", "-999"]),
        (np.where(RANDOM.random(ROWS) < 0.3, -1, RANDOM.integers(0, 400, ROWS)), ["-1"]),
        (RANDOM.choice(["Oslo", "Rome", "unknown"], ROWS), ["unknown"]),
        ([f"20{i % 20 + 10}-0{i % 9 + 1}-01" if i % 11 else "1900-01-01" for i in range(ROWS)], ["1900-01-01"]),
        (RANDOM.normal(0, 100, ROWS), None),
        (RANDOM.integers(-5, 5, ROWS), None),
        (RANDOM.integers(0, 1000, ROWS), None),
        ([*RANDOM.normal(40, 9, ROWS - 1), 9999.0], None),
        (RANDOM.choice(["none", "some", "all"], ROWS), ["none"]),
    ],
)
def test_values_that_stand_for_missing(column: Any, sentinels: list[str] | None) -> None:
    seen = [finding for finding in findings(table(z=column)) if finding.code == "sentinel_values"]
    assert [list(finding.evidence["values"]) for finding in seen] == ([sentinels] if sentinels else [])


def test_gaps_with_a_pattern() -> None:
    gone = RANDOM.random(ROWS) < 0.2
    late = [None] * 400 + list(NUMBERS[400:])
    frame = table(a=np.where(gone, np.nan, NUMBERS), b=np.where(gone, np.nan, -NUMBERS), late=late)
    together, begins = [seen for seen in findings(frame) if seen.code == "missing_patterns"]
    assert (together.columns, together.evidence["rows"]) == (("a", "b"), int(gone.sum()))
    assert (begins.columns, begins.evidence) == (("late",), {"rows": 400, "side": "first"})
    alone = table(a=np.where(gone, np.nan, NUMBERS), b=np.where(RANDOM.random(ROWS) < 0.2, np.nan, NUMBERS))
    assert all(seen.code != "missing_patterns" for seen in findings(alone))


DAYS = [f"20{i % 20 + 10}-{i % 12 + 1:02d}-{i % 27 + 1:02d}" for i in RANDOM.permutation(ROWS)]


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (["2023-02-30", *DAYS[1:]], "1 value among its dates"),
        (["2023-1", "31.13.2023", *DAYS[2:]], "2 values among its dates"),
        (
            [f"{day[8:]}.{day[5:7]}.{day[:4]}" if i % 3 else f"{day[8:]} Jan {day[:4]}" for i, day in enumerate(DAYS)],
            "2 formats: %d.%m.%Y (800 rows), %d %b %Y (400 rows)",
        ),
        (["0203-05-01", *DAYS[1:]], "1 date before 1900"),
        (DAYS, None),
        (["open" if i % 9 == 0 else day for i, day in enumerate(DAYS)], None),
    ],
)
def test_dates_that_are_odd(days: list[str], says: str | None) -> None:
    seen = [finding.message for finding in findings(table(day=days)) if finding.code == "odd_dates"]
    assert says in seen[0] if says else not seen


def test_levels_spelled_in_more_than_one_way() -> None:
    frame = table(
        city=RANDOM.choice(["Oslo", "oslo", "New  York", "New York", "Rome", "Z\u00fcrich", "Zu\u0308rich"], ROWS)
    )
    finding = found(frame, "category_spellings")
    assert (finding.columns, finding.evidence["levels"]) == (("city",), 3)
    assert all(seen.code != "category_spellings" for seen in findings(table(city=RANDOM.choice(["a", "b"], ROWS))))


def test_text_in_the_wrong_encoding() -> None:
    towns = ["M\u00fcnchen", "Malm\u00f6", "Z\u00fcrich", "\u00c5rhus", "S\u00e3o Paulo", "\u4e1c\u4eac"]
    garbled = [
        town.encode().decode("latin-1") if town[0] == "\u4e1c" else town.encode().decode("cp1252") for town in towns
    ]
    finding = found(table(town=RANDOM.choice(garbled, ROWS)), "broken_encoding")
    assert finding.evidence == {"garbled": ROWS, "lost": 0, "name": False}
    assert found(table(town=["M\ufffdnchen", *["Rome", "Oslo"] * 600][:ROWS]), "broken_encoding").evidence["lost"] == 1
    assert found(table(**{"gr\u00c3\u00b6\u00c3\u0178e": NUMBERS**2}), "broken_encoding", None).evidence["name"]
    assert all(seen.code != "broken_encoding" for seen in findings(table(town=RANDOM.choice(towns, ROWS))))


def test_rows_that_are_nearly_another() -> None:
    towns = RANDOM.choice(["Oslo", "Rome"], ROWS)
    frame = table(town=towns, id=[f"k{i:05d}x" for i in range(ROWS)], z=NUMBERS[::-1], w=RANDOM.permutation(NUMBERS))
    assert all(seen.code != "near_duplicates" for seen in findings(frame))
    again = frame.head(60).with_columns(
        town=pl.col("town").str.to_uppercase(), id=pl.lit("n") + pl.col("id"), x=pl.col("x") * 1.00001
    )
    finding = found(pl.concat([frame, again]), "near_duplicates")
    assert 50 <= finding.evidence["rows"] <= 60  # a figure at the border of two rounded ones is not seen
    narrow = pl.DataFrame({"id": [f"k{i:05d}x" for i in range(ROWS)], "town": towns, "y": TARGET})
    assert all(seen.code != "near_duplicates" for seen in findings(narrow))


def test_rows_in_an_order_that_matters() -> None:
    by_target = table().sort("y", maintain_order=True)
    assert found(by_target, "row_order").columns == ("y",)
    blocks = table(y=np.repeat(RANDOM.normal(size=ROWS // 20), 20) + 0.3 * RANDOM.normal(size=ROWS))
    assert found(blocks, "row_order").evidence["likeness"] > 0.5
    days = table(day=pl.date_range(pl.date(2020, 1, 1), pl.date(2023, 4, 14), eager=True))
    assert found(days, "row_order").columns == ("day",)
    assert all(seen.code != "row_order" for seen in findings(days, columns={"time": "day"}))

"""Tables and files that the tests of ingestion share."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import polars as pl

from rowsmith.ingestion.sources import read_frame
from rowsmith.recipe import Recipe
from rowsmith.recipe_data import DataSection
from rowsmith.types import JsonObject


def read(source: object, **options: object) -> pl.DataFrame:
    return read_frame(source, DataSection.model_validate(options))


def recipe(target: str | None = None, /, **sections: JsonObject) -> Recipe:
    return Recipe.from_dict({**sections, "target": {**sections.get("target", {}), "column": target}})


def people(rows: int = 200, seed: int = 0) -> pl.DataFrame:
    """An ordinary table: two numbers, a category, a date as text, and a target that depends on them a little."""
    random = np.random.default_rng(seed)
    age, hours = random.integers(18, 80, rows), random.normal(40, 8, rows).round(1)
    chance = 1 / (1 + np.exp(-(age - 50) / 20 - (hours - 40) / 10))
    return pl.DataFrame(
        {
            "age": age,
            "hours": hours,
            "city": random.choice(["Lyon", "Oslo", "Turin"], rows),
            "joined": [f"{d % 28 + 1:02d}.{d % 12 + 1:02d}.20{d % 20 + 1:02d}" for d in random.integers(0, 999, rows)],
            "left": np.where(random.random(rows) < chance, "yes", "no"),
        }
    )


def write_xlsx(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]]) -> Path:
    """A small workbook, by hand: numbers, booleans and texts."""
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    with zipfile.ZipFile(path, "w") as file:
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{kinds}.worksheet+xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        file.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>{parts}</Types>',
        )
        office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        package = "http://schemas.openxmlformats.org/package/2006/relationships"
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        listed = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        file.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{links}</Relationships>')
        for i, rows in enumerate(sheets.values(), 1):
            data = "".join(_row(number, cells) for number, cells in enumerate(rows, 1))
            file.writestr(
                f"xl/worksheets/sheet{i}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{data}</sheetData></worksheet>',
            )
    return path


def _row(number: int, cells: Sequence[object]) -> str:
    texts = []
    for place, value in enumerate(cells):
        name = f"{chr(ord('A') + place)}{number}"
        if value is None:
            continue
        if isinstance(value, bool):
            texts.append(f'<c r="{name}" t="b"><v>{int(value)}</v></c>')
        elif isinstance(value, int | float):
            texts.append(f'<c r="{name}"><v>{value}</v></c>')
        else:
            texts.append(f'<c r="{name}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>')
    return f'<row r="{number}">{"".join(texts)}</row>'

"""The columns of a row to the encoded matrix, as `rowsmith.transformation` encodes them.

A number, a boolean (0 or 1) and a date (seconds since 1970, UTC) come as float64 with NaN for missing; a category as
text in the spelling of the schema with "" for missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rowsmith.conversion.onnx.graph import ML, Graph
from rowsmith.errors import UsageError
from rowsmith.schema import Schema
from rowsmith.state import State
from rowsmith.transformation.category import CategoryColumn
from rowsmith.transformation.column import FLOAT32_MAX, NAN
from rowsmith.transformation.datetime import SECONDS_PER_DAY, DatetimeColumn
from rowsmith.transformation.number import NumberColumn
from rowsmith.transformation.text import TextColumn

NUMBER, TEXT = "float64", "string"
DAYS_TO_1970 = 719_468
"""From 1 March of the year 0, where the reckoning with months starts."""
DAYS_OF_ERA, DAYS_OF_CENTURY, DAYS_OF_LEAP_CYCLE = 146_097, 36_524, 1_460


def encoded(graph: Graph, encoder: State, schema: Schema) -> str:
    """Adds an input for each column that the encoder looks at; answers the matrix (rows, features), float64.

    Raises UsageError for a column that no graph of ONNX's can encode.
    """
    names = encoder.data["columns"]
    if not names:
        raise UsageError("this model looks at no column, so there is nothing to ask it", next_step=REFUSED)
    parts = [COLUMNS_OF[state.kind](graph, name, state, schema) for name, state in _children(encoder, names)]
    return graph.side_by_side(*parts)


REFUSED = "use --format mlflow or --format docker, which run the model itself"


def _children(encoder: State, names: list[str]) -> list[tuple[str, State]]:
    return [(name, encoder.children[f"column-{i}"]) for i, name in enumerate(names)]


def _number(graph: Graph, name: str, state: State, schema: Schema) -> str:
    value = graph.subtract(graph.input(name, NUMBER), graph.constant(state.data["offset"]))
    return graph.as_float32(graph.clipped(value, -FLOAT32_MAX, FLOAT32_MAX))


def _category(graph: Graph, name: str, state: State, schema: Schema) -> str:
    if state.children:
        raise UsageError(
            f'the levels of the column "{name}" are read as text, which ONNX has no operators for', next_step=REFUSED
        )
    value, levels = graph.input(name, TEXT), state.data["levels"]
    missing = ["", *schema[name].parsing.nulls]
    columns = [{level: float(i + 1) for i, level in enumerate(levels)}]
    if state.data["shares"]:
        columns.append(dict(zip(levels, state.data["shares"], strict=True)))
    parts = []
    for numbers in columns:
        table = {**numbers, **dict.fromkeys(missing, NAN)}
        keys = [text.encode() for text in table]
        found = graph.op(
            "LabelEncoder",
            value,
            domain=ML,
            keys_strings=keys,
            values_floats=[float(number) for number in table.values()],
            default_float=0.0,
        )
        parts.append(graph.doubles(found))
    return graph.side_by_side(*parts)


def _datetime(graph: Graph, name: str, state: State, schema: Schema) -> str:
    given = graph.input(name, NUMBER)
    is_missing = graph.is_missing(given)
    seconds = graph.op("Floor", graph.where(is_missing, graph.constant(0.0), given))
    calendar = _Calendar(graph, seconds)
    parts = graph.side_by_side(*(calendar.part(part) for part in state.data["parts"]))
    return graph.as_float32(graph.where(is_missing, graph.constant(NAN), parts))


class _Calendar:
    """Parts of a date in whole numbers, for any year from 1 on (the days of eras of 400 years, from March)."""

    def __init__(self, graph: Graph, seconds: str) -> None:
        g = self._graph = graph
        self._seconds = seconds
        self._day = g.floor_over(seconds, SECONDS_PER_DAY)
        self._second = g.subtract(seconds, g.times(self._day, g.constant(SECONDS_PER_DAY)))
        from_march = g.add(self._day, g.constant(DAYS_TO_1970))
        era = g.floor_over(from_march, DAYS_OF_ERA)
        in_era = g.subtract(from_march, g.times(era, g.constant(DAYS_OF_ERA)))
        leaps = g.subtract(
            g.add(g.floor_over(in_era, DAYS_OF_CENTURY), in_era),
            g.add(g.floor_over(in_era, DAYS_OF_LEAP_CYCLE), g.floor_over(in_era, DAYS_OF_ERA - 1)),
        )
        year_of_era = g.floor_over(leaps, 365)
        before = g.subtract(
            g.add(g.times(year_of_era, g.constant(365)), g.floor_over(year_of_era, 4)), g.floor_over(year_of_era, 100)
        )
        self._day_from_march = g.subtract(in_era, before)
        self._month_from_march = g.floor_over(g.add(g.times(self._day_from_march, g.constant(5)), g.constant(2)), 153)
        is_early = g.op("GreaterOrEqual", self._month_from_march, g.constant(10))  # January and February
        self._year = g.add(
            g.add(year_of_era, g.times(era, g.constant(400))), g.where(is_early, g.constant(1.0), g.constant(0.0))
        )
        self._month = g.add(self._month_from_march, g.where(is_early, g.constant(-9.0), g.constant(3.0)))
        self._is_early = is_early

    def part(self, name: str) -> str:
        g = self._graph
        match name:
            case "days":
                return g.over(self._seconds, g.constant(SECONDS_PER_DAY))
            case "year":
                return self._year
            case "month":
                return self._month
            case "day":
                start = g.floor_over(g.add(g.times(self._month_from_march, g.constant(153)), g.constant(2)), 5)
                return g.add(g.subtract(self._day_from_march, start), g.constant(1.0))
            case "weekday":
                shifted = g.add(self._day, g.constant(3.0))  # 1 January 1970 was a Thursday
                return g.add(g.subtract(shifted, g.times(g.floor_over(shifted, 7), g.constant(7))), g.constant(1.0))
            case "day_of_year":
                late = g.add(g.add(self._day_from_march, g.constant(60.0)), self._leap_day())
                return g.where(self._is_early, g.subtract(self._day_from_march, g.constant(305.0)), late)
            case "hour":
                hour, minute = g.floor_over(self._second, 3600), g.floor_over(self._second, 60)
                minute = g.subtract(minute, g.times(hour, g.constant(60)))
                return g.add(hour, g.over(minute, g.constant(60)))
        raise UsageError(f"a part of a date that is not known: {name}", next_step=REFUSED)

    def _leap_day(self) -> str:
        """1 in a leap year, else 0."""
        g = self._graph

        def divides(number: float) -> str:
            rest = g.subtract(self._year, g.times(g.floor_over(self._year, number), g.constant(number)))
            return g.op("Equal", rest, g.constant(0.0))

        leap = g.op("Or", divides(400), g.op("And", divides(4), g.op("Not", divides(100))))
        return g.doubles(leap)


def _text(graph: Graph, name: str, state: State, schema: Schema) -> str:
    raise UsageError(f'the column "{name}" is free text, which ONNX has no operators for', next_step=REFUSED)


COLUMNS_OF: Mapping[str, Callable[[Graph, str, State, Schema], str]] = {
    NumberColumn.kind: _number,
    CategoryColumn.kind: _category,
    DatetimeColumn.kind: _datetime,
    TextColumn.kind: _text,
}

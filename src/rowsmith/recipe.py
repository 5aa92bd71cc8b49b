"""Recipe: WHAT to train. Read from rowsmith.toml, frozen, hashed, and kept with the model."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from rowsmith.errors import RecipeError
from rowsmith.recipe_data import DataSection, JoinSection, Section
from rowsmith.schema import Policy
from rowsmith.types import ColumnKind, JsonObject, Task

RECIPE_FILE = "rowsmith.toml"
AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(second|minute|hour|day|week)s?")
ORDERED = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.DATETIME)


class TargetSection(Section):
    """What to predict, and by which measure."""

    column: str | None = Field(None, examples=["churned"], description="the column to predict")
    task: Task | None = Field(None, description="binary, multiclass or regression; inferred when absent")
    metric: str | None = Field(
        None, examples=["roc_auc"], description="what to optimise; roc_auc, log_loss or rmse by task when absent"
    )
    positive: str | None = Field(
        None, examples=["yes"], description="the label that is the event of a binary target; the rarer one when absent"
    )


class ColumnsSection(Section):
    """What columns are for, and what their values are where inference is wrong."""

    ignore: tuple[str, ...] = Field((), description="columns that the model must not see")
    time: str | None = Field(
        None, examples=["date"], description="rows are split by this column: train on the past, test on the future"
    )
    group: str | None = Field(
        None, examples=["household"], description="rows of one group stay on one side of every split"
    )
    weight: str | None = Field(None, examples=["weight"], description="how much each row counts")
    subject_id: str | None = Field(None, examples=["person"], description="whom a row is about; kept out of the model")
    sensitive: tuple[str, ...] = Field((), description="scores are compared between the groups of these columns")
    personal: tuple[str, ...] = Field(
        (), description="columns whose values the prediction log must not hold as they are (see personal_in_log)"
    )
    personal_in_log: Literal["pseudonym", "omit"] = Field(
        "pseudonym", description="what the log holds of personal columns: a keyed hash of each value, or nothing"
    )
    kinds: dict[str, ColumnKind] = Field(
        default_factory=dict, description="the kind of a column where the inferred one is wrong"
    )


class SplitSection(Section):
    """How rows are divided between training and the one final test."""

    holdout: float = Field(
        0.2, ge=0, lt=1, description="share of rows sealed away for the one final test; 0 trains on all rows"
    )
    folds: int = Field(5, ge=2, le=20, description="folds of cross-validation")


class TrainSection(Section):
    """How much work goes into the training, and on what."""

    seconds: float | None = Field(
        None,
        examples=[60.0],
        gt=0,
        description="wall time for the training; 60 when neither this nor max_trials is given",
    )
    max_trials: int | None = Field(
        None, examples=[20], ge=1, description="stop after this many configurations; makes the work repeatable"
    )
    cores: int | None = Field(
        None, examples=[4], ge=1, description="processor cores to use; all that are available when absent"
    )
    memory_mb: int | None = Field(None, examples=[4096], ge=256, description="memory to stay within")
    seed: int = Field(0, ge=0, description="everything random comes from this number")
    families: tuple[str, ...] = Field((), description="model families to try; all when empty")
    portfolio: str | None = Field(
        None,
        examples=["portfolio.json"],
        description="a file with your own order of configurations; the built-in one when absent",
    )
    threshold_metric: str | None = Field(
        None, examples=["f1"], description="what the decision threshold optimises; balanced_accuracy when absent"
    )
    max_row_ms: float | None = Field(
        None,
        examples=[1.0],
        gt=0,
        description="milliseconds that a row is expected to take, at most; 0.3 when absent, 0.8 with free text",
    )
    interval: float = Field(0.9, gt=0, lt=1, description="share of true values that prediction intervals should cover")


class PoliciesSection(Section):
    """What happens when a row departs from the schema: `error` refuses, `warn` says so, `accept` goes on silently."""

    missing_column: Policy = Field("error", description="a column that always had a value in training is not there")
    unknown_column: Policy = Field("accept", description="a column that training did not have; accepted, it is ignored")
    missing_value: Policy = Field("accept", description="no value in a column that always had one in training")
    wrong_type: Policy = Field("error", description="a value that cannot be read; accepted, it counts as missing")
    unseen_category: Policy = Field("warn", description="a level that training did not see; it counts as other")
    out_of_range: Policy = Field("warn", description="a number or date beyond those of training; it is used as it is")


class GatesSection(Section):
    """What stands between a new version and becoming champion."""

    better_than_baseline: bool = Field(True, description="a champion must beat the simple model on the test part")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="how sure 'worse than the champion' must be to refuse")
    max_group_gap: float | None = Field(
        None,
        examples=[0.1],
        ge=0,
        le=1,
        description="refuse when a score differs by more than this between groups of a sensitive column",
    )


class MonitorSection(Section):
    """When served predictions count as drifted."""

    window: Literal["hour", "day", "week", "month"] | None = Field(
        None, description="length of a window; chosen from the volume when absent"
    )
    drift_threshold: float = Field(
        0.2, gt=0, description="effect size (population stability index) from which a column counts as drifted"
    )
    min_rows: int = Field(50, ge=1, description="a window with fewer rows is not judged")


class ChecksSection(Section):
    """Checks of the data."""

    ignore: tuple[str, ...] = Field((), description="codes of checks whose findings are accepted")


class ColumnExpectation(Section):
    """What must hold of the values of one column."""

    type: ColumnKind | None = Field(None, description="what every value can be read as")
    min: float | str | None = Field(None, description="no number, or date, below this one")
    max: float | str | None = Field(None, description="no number, or date, above this one")
    pattern: str | None = Field(None, description="a regular expression that every value matches as a whole")
    values: tuple[str, ...] = Field((), description="the only values there are, as text")
    max_missing: float | None = Field(None, ge=0, le=1, description="share of rows without a value, at most")
    unique: bool = Field(False, description="no value stands in two rows")
    max_age: str | None = Field(None, description="how old the newest date may be, such as 2 days")

    @field_validator("min", "max", mode="before")
    @classmethod
    def _dates_as_text(cls, value: Any) -> Any:
        """TOML has dates of its own."""
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("type")
    @classmethod
    def _is_a_type(cls, value: ColumnKind | None) -> ColumnKind | None:
        if value in (ColumnKind.IDENTIFIER, ColumnKind.CONSTANT):
            raise ValueError("any value can be an identifier or a constant")
        return value

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as problem:
            raise ValueError(f"this is no regular expression: {problem}") from problem
        return value

    @field_validator("max_age")
    @classmethod
    def _is_an_age(cls, value: str | None) -> str | None:
        if value is not None and not AGE.fullmatch(value):
            raise ValueError("a number of seconds, minutes, hours, days or weeks, such as 2 days")
        return value

    @model_validator(mode="after")
    def _has_an_order(self) -> ColumnExpectation:
        dates = [bound for bound in (self.min, self.max) if isinstance(bound, str)]
        for bound in dates:
            try:
                datetime.fromisoformat(bound)
            except ValueError as problem:
                raise ValueError(f"{bound} is neither a number nor a date such as 2024-01-31") from problem
        if self.type not in (None, *ORDERED) and (self.min is not None or self.max is not None):
            raise ValueError(f"a {self.type} has no order that min and max could mean")
        if self.min is not None and self.max is not None:
            if len(dates) == 1:
                raise ValueError("min and max are two numbers or two dates")
            if self.min > self.max:  # type: ignore[operator]
                raise ValueError("min is above max")
        return self


def seconds_of(age: str) -> float:
    """ "2 days" as seconds; the text was checked before."""
    found = AGE.fullmatch(age)
    assert found is not None
    return float(found[1]) * {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}[found[2]]


class ExpectSection(Section):
    """What must hold of the rows: enforced when they are read, before training, and on requests.

    A reading that breaks it keeps nothing; a row of a request that does is refused like one that breaks the schema.
    """

    min_rows: int | None = Field(None, examples=[1000], ge=0, description="rows of the table, at least")
    max_rows: int | None = Field(None, examples=[1_000_000], ge=1, description="rows of the table, at most")
    unique: tuple[str, ...] = Field(
        (), examples=[["account", "month"]], description="columns whose values together stand in one row alone"
    )
    columns: dict[str, ColumnExpectation] = Field(
        default_factory=dict,
        examples=[{"age": {"type": "integer", "min": 0, "max": 120, "max_missing": 0.1}}],
        description="what must hold of a column: type, min, max, pattern, values, max_missing, unique, max_age",
    )


class Recipe(Section):
    """Everything that decides which model comes out of which rows."""

    name: str = Field(
        "model", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="the name versions are kept under"
    )
    data: DataSection = DataSection()
    join: JoinSection = JoinSection()
    target: TargetSection = TargetSection()
    columns: ColumnsSection = ColumnsSection()
    split: SplitSection = SplitSection()
    train: TrainSection = TrainSection()
    policies: PoliciesSection = PoliciesSection()
    gates: GatesSection = GatesSection()
    monitor: MonitorSection = MonitorSection()
    checks: ChecksSection = ChecksSection()
    expect: ExpectSection = ExpectSection()

    @classmethod
    def from_dict(cls, data: JsonObject, *, where: str = "recipe") -> Recipe:
        """Raises RecipeError that names every key at fault."""
        try:
            return cls.model_validate(data)
        except ValidationError as problem:
            lines = [_explain(error) for error in problem.errors()]
            raise RecipeError("; ".join(lines), where=where, next_step="see docs/reference/recipe.md") from problem

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Raises RecipeError for a file that is not TOML or not a recipe."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise RecipeError(f"this is not a TOML file: {problem}", where=str(path)) from problem
        return cls.from_dict(data, where=str(path))

    def changed(self, **sections: dict[str, Any]) -> Recipe:
        """A copy with some keys of some sections changed; keys whose value is None are left as they are.

        A section inside a section is changed key by key, too.
        """
        data = self.model_dump(mode="json")
        _change(data, sections, type(self))
        return Recipe.from_dict(data)

    def asking(self, table: str | None, query: str | None, params: Mapping[str, str]) -> Recipe:
        """A copy that asks a database for another table or query, or for the same with other values.

        A value that is written as a number is one.
        """
        sql = self.data.sql
        chosen = {"table": table, "query": query} if table or query else {"table": sql.table, "query": sql.query}
        values = {**({} if table or query else sql.params), **{name: _scalar(text) for name, text in params.items()}}
        asked = {**self.data.model_dump(mode="json"), "sql": {**chosen, "params": values}}
        return Recipe.from_dict({**self.model_dump(mode="json"), "data": asked})

    def to_dict(self) -> JsonObject:
        return self.model_dump(mode="json")

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as hexadecimal text."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _scalar(text: str) -> str | int | float:
    """As JSON writes numbers, so that 007 stays a text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def section_class(annotation: Any) -> type[Section] | None:
    """The class of a section; None for what is a value."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _change(data: dict[str, Any], keys: dict[str, Any], kind: type[BaseModel]) -> None:
    for key, value in keys.items():
        field = kind.model_fields.get(key)
        inner = section_class(field.annotation) if field else None
        if inner is not None and value is not None:
            _change(data[key], value, inner)
        elif value is not None:
            data[key] = value


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"there is no setting {place}{_similar(error['loc'])}"
    if error["type"] == "value_error":
        # Of a validator of ours, which says it all; what was received may be a secret.
        return f"{place}: {error['ctx']['error']}"
    return f"{place}: {error['msg'][0].lower()}{error['msg'][1:]}, but got {error['input']!r}"


def _similar(place: Sequence[Any]) -> str:
    """The key that was probably meant, as the end of a sentence."""
    section: Any = Recipe
    for part in place[:-1]:
        section = section_class(section.model_fields[part].annotation)
        if section is None:
            return ""
    close = difflib.get_close_matches(str(place[-1]), section.model_fields, n=1)
    return f" (is it {'.'.join(map(str, [*place[:-1], close[0]]))}?)" if close else ""

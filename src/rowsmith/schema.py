"""Schema: what a table must look like, written down once and enforced everywhere in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from rowsmith.errors import Fault, RecipeError, SchemaError
from rowsmith.types import ColumnKind, JsonObject, Role, Task

Policy: TypeAlias = Literal["error", "warn", "accept"]
NOT_FEATURES = frozenset({Role.TARGET, Role.IGNORED, Role.GROUP, Role.WEIGHT, Role.SUBJECT_ID})
KINDS_WITHOUT_INFORMATION = frozenset({ColumnKind.IDENTIFIER, ColumnKind.CONSTANT})
NUMERIC_KINDS = frozenset({ColumnKind.NUMBER, ColumnKind.INTEGER})


@dataclass(frozen=True, slots=True)
class Parsing:
    """How text becomes a value. Native numbers, booleans and dates pass by it untouched.

    `nulls` are the spellings of "missing" (compared after stripping blanks; the empty text is always one).
    `date_format` is a strptime pattern, or "iso". `affixes` are signs around a number that are taken off ("$", "%");
    a percentage keeps its figure (12% is 12).
    """

    decimal: Literal[".", ","] = "."
    thousands: str = ""
    affixes: tuple[str, ...] = ()
    date_format: str = ""
    nulls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policies:
    """What happens when a table or a row departs from the schema, in training, batch and serving alike.

    `error` refuses, `warn` goes on and says so, `accept` goes on silently.
    - missing_column: a column that always had a value in training is not there. (One that had missing
      values may be left out: it counts as missing.)
    - unknown_column: a column that the schema does not know; when accepted it is ignored.
    - missing_value: no value in a column that always had one in training.
    - wrong_type: a value that cannot be read as the column's kind; when accepted it counts as missing.
    - unseen_category: a level that training did not see; when accepted it counts as "other".
    - out_of_range: a number or date outside the range of training; when accepted it is used as it is.
    """

    missing_column: Policy = "error"
    unknown_column: Policy = "accept"
    missing_value: Policy = "accept"
    wrong_type: Policy = "error"
    unseen_category: Policy = "warn"
    out_of_range: Policy = "warn"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Facts (`categories`, `minimum`, ...) are those of the rows that the schema was inferred from.

    `categories` are the levels of a category, most frequent first (at most `MAX_CATEGORIES` are listed,
    `level_count` counts them all). `minimum` and `maximum` are numbers for numeric kinds, seconds since
    1970 (UTC) for dates. `missing` is the share of missing values, 0 to 1. `stored` names the type that the
    source had. `typical` is a value to show in a form: the median, the most frequent level, a short text.
    """

    name: str
    kind: ColumnKind
    roles: tuple[Role, ...] = ()
    missing: float = 0.0
    categories: tuple[str, ...] = ()
    level_count: int = 0
    minimum: float | None = None
    maximum: float | None = None
    typical: str | float | bool | None = None
    stored: str = ""
    parsing: Parsing = field(default_factory=Parsing)

    @property
    def is_feature(self) -> bool:
        return self.kind not in KINDS_WITHOUT_INFORMATION and not NOT_FEATURES.intersection(self.roles)

    @property
    def is_optional(self) -> bool:
        """Had missing values in training, so it may be missing later."""
        return self.missing > 0

    @property
    def lists_every_category(self) -> bool:
        return self.level_count == len(self.categories)


MAX_CATEGORIES = 1000
FACTS = ("missing", "level_count", "minimum", "maximum", "typical", "stored")


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table in order, and the rules for tables that depart from them.

    `labels` are the classes of the target as text in the order of the probability columns: sorted
    (numbers by value), except that of a binary target the event comes last.
    """

    columns: tuple[Column, ...]
    task: Task | None = None
    labels: tuple[str, ...] = ()
    policies: Policies = field(default_factory=Policies)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def without(self, names: Iterable[str]) -> Schema:
        """The same, in which the columns of these names are no features."""
        hidden = frozenset(names)
        columns = (
            replace(column, roles=(*column.roles, Role.IGNORED)) if column.name in hidden else column
            for column in self.columns
        )
        return replace(self, columns=tuple(columns))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_feature)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Column:
        """Raises SchemaError, naming what exists, for a column that does not."""
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(self.names)
        raise SchemaError([Fault("missing_column", name, f'there is no column "{name}"; the columns are: {known}')])

    def with_role(self, role: Role) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if role in column.roles)

    def only(self, role: Role) -> Column | None:
        """The one column of a role that at most one may have."""
        found = self.with_role(role)
        if len(found) > 1:
            raise RecipeError(f"{len(found)} columns have the role {role}", received=", ".join(c.name for c in found))
        return found[0] if found else None

    @property
    def target(self) -> Column | None:
        return self.only(Role.TARGET)

    def replaced(self, columns: Iterable[Column]) -> Schema:
        """The same schema with some columns swapped for new ones of the same name."""
        new = {column.name: column for column in columns}
        return replace(self, columns=tuple(new.get(column.name, column) for column in self.columns))

    def to_dict(self) -> JsonObject:
        return {
            "task": self.task.value if self.task else None,
            "labels": list(self.labels),
            "policies": {name: getattr(self.policies, name) for name in Policies.__dataclass_fields__},
            "columns": [_column_to_dict(column) for column in self.columns],
        }

    @classmethod
    def from_dict(cls, data: JsonObject) -> Schema:
        return cls(
            columns=tuple(_column_from_dict(item) for item in data["columns"]),
            task=Task(data["task"]) if data.get("task") else None,
            labels=tuple(data.get("labels", ())),
            policies=Policies(**data.get("policies", {})),
        )


def _column_to_dict(column: Column) -> JsonObject:
    item: JsonObject = {"name": column.name, "kind": column.kind.value}
    if column.roles:
        item["roles"] = [role.value for role in column.roles]
    for key in FACTS:
        value = getattr(column, key)
        if value != Column.__dataclass_fields__[key].default:
            item[key] = value
    if column.categories:
        item["categories"] = list(column.categories)
    parsing: dict[str, Any] = {}
    for key in Parsing.__dataclass_fields__:
        value = getattr(column.parsing, key)
        if value != Parsing.__dataclass_fields__[key].default:
            parsing[key] = list(value) if isinstance(value, tuple) else value
    if parsing:
        item["parsing"] = parsing
    return item


def _column_from_dict(item: JsonObject) -> Column:
    parsing = dict(item.get("parsing", {}))
    for key in ("affixes", "nulls"):
        if key in parsing:
            parsing[key] = tuple(parsing[key])
    known = {key: item[key] for key in FACTS if key in item}
    return Column(
        name=item["name"],
        kind=ColumnKind(item["kind"]),
        roles=tuple(Role(role) for role in item.get("roles", ())),
        categories=tuple(item.get("categories", ())),
        parsing=Parsing(**parsing),
        **known,
    )

"""Model families, one file each. A new one is a file like `extra_trees.py` and a line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Mapping

from rowsmith.errors import RecipeError
from rowsmith.training.families import adapters
from rowsmith.training.families.base import Family, Restorer
from rowsmith.training.families.catboost import FAMILY as CATBOOST
from rowsmith.training.families.constant import FAMILY as CONSTANT
from rowsmith.training.families.extra_trees import FAMILY as EXTRA_TREES
from rowsmith.training.families.lightgbm import FAMILY as LIGHTGBM
from rowsmith.training.families.linear import FAMILY as LINEAR
from rowsmith.training.families.neural import FAMILY as NEURAL
from rowsmith.training.families.xgboost import FAMILY as XGBOOST

FAMILIES: tuple[Family, ...] = (LIGHTGBM, CATBOOST, LINEAR, EXTRA_TREES, NEURAL, XGBOOST)

RESTORERS: Mapping[str, Restorer] = {
    **adapters.RESTORERS,
    **{kind: restorer for family in FAMILIES for kind, restorer in family.restorers.items()},
}


def find_family(name: str) -> Family:
    """Raises RecipeError, naming what exists, for a family that does not."""
    for family in (*FAMILIES, CONSTANT):
        if family.name == name:
            return family
    raise RecipeError(
        f"there is no model family {name!r}",
        where="train.families",
        allowed=", ".join(family.name for family in FAMILIES),
    )

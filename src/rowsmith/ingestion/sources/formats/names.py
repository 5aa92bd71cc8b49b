"""Names of columns, where a format leaves them to us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rowsmith.errors import SourceError


def settle_names(raw: Sequence[str], *, where: str) -> list[str]:
    """Names without outer blanks; an empty one becomes column_<n>, counting from 1. Raises SourceError for doubles."""
    names = [name.strip() for name in raw]
    taken = set(names)
    for place, name in enumerate(names):
        if not name:
            fresh = f"column_{place + 1}"
            while fresh in taken:
                fresh += "_"
            names[place] = fresh
            taken.add(fresh)
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        places = [str(place + 1) for place, name in enumerate(names) if name == doubles[0]]
        raise SourceError(
            f'{len(places)} columns have the name "{doubles[0]}"',
            where=where,
            received=f"columns {' and '.join(places)} of {len(names)}",
            next_step="give each column a name of its own",
        )
    return names

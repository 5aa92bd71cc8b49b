from rowsmith.types import Array, Matrix, Vector

def add_leaves(
    questions: Array,
    sets: Array,
    nodes: Array,
    values: Vector,
    width: int,
    roots: Array,
    outputs: Array,
    matrix: Matrix,
    rows: int,
    sums: Array,
    /,
) -> None: ...
def add_leaves_by_plan(
    questions: Array,
    sets: Array,
    nodes: Array,
    values: Vector,
    width: int,
    roots: Array,
    outputs: Array,
    matrix: Matrix,
    rows: int,
    sums: Array,
    tests: Array,
    steps: Array,
    inner: Array,
    places: Array,
    /,
) -> None: ...
def add_symmetric(
    questions: Array,
    tests: Array,
    levels: Array,
    leaves: Array,
    matrix: Matrix,
    rows: int,
    depth: int,
    width: int,
    sums: Array,
    /,
) -> None: ...

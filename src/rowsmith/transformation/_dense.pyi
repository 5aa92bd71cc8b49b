from rowsmith.types import Array, Matrix, Rows, Vector

def densify(
    matrix: Matrix,
    numbers: Rows,
    centre: Vector,
    scale: Vector,
    indicators: Rows,
    categories: Rows,
    first: Rows,
    missing: Rows,
    spread: Rows,
    dense: Array,
    rows: int,
    soft_limit: float,
    /,
) -> None: ...
def multiply(
    signal: Array, weight: Array, bias: Array, sums: Array, unit: float, limit: float, members: int, rows: int, /
) -> None: ...

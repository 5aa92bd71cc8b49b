"""Dataframes of any library as polars, without pyarrow: a default install does not have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from rowsmith.conform.plain import STRING, text_of
from rowsmith.conform.values import series_of_values, type_of_values
from rowsmith.errors import SourceError


def to_polars(origin: Any) -> pl.DataFrame:
    """Any dataframe, a dict of columns, or a list of rows, as polars. Needs no pyarrow. Raises SourceError."""
    if isinstance(origin, pl.LazyFrame):
        return origin.collect()
    if isinstance(origin, pl.DataFrame):
        return origin
    if isinstance(origin, Mapping):
        return _from_columns({str(name): list(values) for name, values in origin.items()})
    if isinstance(origin, list):
        names = dict.fromkeys(str(name) for row in origin for name in row)
        return _from_columns({name: [row.get(name) for row in origin] for name in names})
    if nw.dependencies.is_pandas_dataframe(origin):
        return _from_pandas(origin)
    try:
        if hasattr(origin, "__arrow_c_stream__"):
            return pl.DataFrame(origin)
        frame: pl.DataFrame = nw.from_native(origin, eager_only=True).to_polars()
    except (pl.exceptions.PolarsError, TypeError, ValueError) as problem:
        raise SourceError(f"this dataframe cannot be read: {problem}", where=describe(origin)) from problem
    return frame


def describe(origin: Any) -> str:
    return f"{type(origin).__module__.partition('.')[0]} {type(origin).__name__}"


def _from_columns(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    return pl.DataFrame([series_of_values(name, values, type_of_values(values)) for name, values in columns.items()])


def _from_pandas(frame: Any) -> pl.DataFrame:
    """Column by column, since objects may be mixed, and pandas' own way to Arrow would refuse them."""
    names = ["_".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise SourceError(
            f'{Counter(names)[doubles[0]]} columns have the name "{doubles[0]}"',
            where=describe(frame),
            next_step="give each column a name of its own",
        )
    return pl.DataFrame([_pandas_series(name, frame.iloc[:, place]) for place, name in enumerate(names)])


def _pandas_series(name: str, series: Any) -> pl.Series:
    """A pandas series of any dtype; categories become text, objects what all of them are."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        levels = text_of(_pandas_series(name, pd.Series(dtype.categories)))
        codes = pl.Series(series.cat.codes.to_numpy().astype(np.int64))
        return levels.gather(codes.set(codes < 0, None)).alias(name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        utc = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        return pl.Series(name, utc).dt.replace_time_zone("UTC").dt.convert_time_zone(str(dtype.tz))
    if isinstance(dtype, np.dtype):
        if dtype.kind in "iufb":
            return pl.Series(name, series.to_numpy())
        if dtype.kind in "mM":
            return pl.Series(
                name, series.to_numpy().astype(f"{'datetime' if dtype.kind == 'M' else 'timedelta'}64[us]")
            )
    elif pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return _pandas_masked(name, series)
    if isinstance(dtype, pd.StringDtype):
        return series_of_values(name, series.to_numpy(dtype=object, na_value=None).tolist(), STRING)
    values = series.to_list()
    return series_of_values(name, values, type_of_values(values))


def _pandas_masked(name: str, series: Any) -> pl.Series:
    """A nullable number or boolean: its values, and which of them are missing."""
    import pandas as pd

    missing = series.isna().to_numpy()
    fill = False if pd.api.types.is_bool_dtype(series.dtype) else 0
    values = pl.Series(name, series.fillna(fill).to_numpy(dtype=bool if fill is False else None))
    return values.set(pl.Series(missing), None) if missing.any() else values

"""What pyproject.toml cannot say: the compiled loops. Where there is no compiler, their twins in Python do the work."""

import sysconfig
from pathlib import Path

from setuptools import Extension, setup

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
IS_WINDOWS = sysconfig.get_platform().startswith("win")
LOOPS = (
    "ingestion._row_bytes",
    "ingestion.sources.formats._records",
    "training.families._traverse",
    "transformation._dense",
)
NOT_ON_WINDOWS = ("monitoring._group_append",)


def compiled(name: str) -> Extension:
    """Without contraction, which would round once where the twin in NumPy rounds twice."""
    source = Path("src/rowsmith", *name.split(".")).with_suffix(".c")
    return Extension(
        f"rowsmith.{name}",
        [source.as_posix()],
        depends=[header.as_posix() for header in sorted(source.parent.glob("_*.h"))],
        extra_compile_args=[] if IS_WINDOWS else ["-O3", "-ffp-contract=off"],
        py_limited_api=not IS_FREE_THREADED,
        optional=True,
    )


setup(
    ext_modules=[compiled(name) for name in (*LOOPS, *(() if IS_WINDOWS else NOT_ON_WINDOWS))],
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)

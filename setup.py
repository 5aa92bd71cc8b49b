"""What pyproject.toml cannot say: the compiled loops. Where there is no compiler, their twins in NumPy do the work."""

import sysconfig

from setuptools import Extension, setup

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

setup(
    ext_modules=[
        Extension(
            "rowsmith.training.families._traverse",
            ["src/rowsmith/training/families/_traverse.c"],
            extra_compile_args=[] if sysconfig.get_platform().startswith("win") else ["-O3"],
            py_limited_api=not IS_FREE_THREADED,
            optional=True,
        )
    ],
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)

"""The environment of kernels, and what of it counts while Python and libraries are loaded."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence

IMPORTED_UNDER = (  # beginnings of environment variables that count when Python or a library is loaded
    "PYTHON", "LD_", "DYLD_", "LANG", "LC_", "HOME", "GOMP_", "KMP_", "OMP_", "MKL_", "OPENBLAS_", "BLIS_", "GOTO_",
    "VECLIB_", "NUMBA_", "NUMEXPR_", "NPY_", "MALLOC_", "ARROW_", "MATPLOTLIBRC", "MPLCONFIGDIR", "SKLEARN_", "PANDAS_",
)  # fmt: skip
# OpenMP threads that spin long while they wait make boosting five times slower on cores that others use as well; those
# that never spin make it three times slower on idle ones
KERNEL = {"GOMP_SPINCOUNT": "1000"}


def make_environment(**more: str) -> dict[str, str]:
    """Return the environment of a run's kernels: this process's, what makes runs repeatable, and `more`."""
    return {**KERNEL, **os.environ, "PYTHONHASHSEED": "0", **more}


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether kernels may be forked here: not on Windows, and not if ``NBKIT_WARM`` is 0."""
    return hasattr(os, "fork") and environment.get("NBKIT_WARM", "1") not in ("0", "no", "off", "false")


def identify(python: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what two kernels have in common that would import the same code in the same way.

    Parameters
    ----------
    python
        The interpreter and its options.
    environment
        The kernel's environment.
    """
    counting = sorted(f"{name}={value}" for name, value in environment.items() if name.startswith(IMPORTED_UNDER))
    return (*python, *counting)


def list_installed() -> list[tuple[str, int]]:
    """Return what is installed, by the names and times of its metadata."""
    found = []
    for folder in dict.fromkeys(sys.path):
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info", ".pth", ".egg-link")):
                    record = f"{entry.path}/RECORD"
                    changed = os.stat(record if os.path.exists(record) else entry.path).st_mtime_ns  # noqa: PTH110, PTH116
                    found.append((entry.path, changed))
    return sorted(found)

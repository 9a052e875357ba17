"""How many threads a stage computes with: set and the same everywhere, since boosted trees depend on the number."""

import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def count_cores() -> int:
    """Return the physical cores that this process may use: what scikit-learn takes if nobody says otherwise."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, psutil.cpu_count(logical=False) or usable)


def limit_threads(threads: int) -> None:
    """Let this process compute with so many threads, in libraries that are loaded already and in those to come."""
    os.environ.update(dict.fromkeys(VARIABLES, str(threads)))
    if "numpy" in sys.modules:
        import threadpoolctl

        for library in threadpoolctl.ThreadpoolController().lib_controllers:
            if library.num_threads != threads:  # else OpenBLAS would start its threads, which spin for 0.1 s
                library.set_num_threads(threads)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(min(threads, sys.modules["numba"].config.NUMBA_NUM_THREADS))

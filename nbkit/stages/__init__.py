"""Reads what notebooks and params files say, and checks that they fit together, without running anything."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "notebooks": ["Parameter", "Stage", "read_stages"],
        "graph": ["Edge", "Graph", "Finding", "build_graph", "check_graph"],
        "check": ["check_notebooks"],
        "params": ["Resolved", "resolve_params"],
    },
)

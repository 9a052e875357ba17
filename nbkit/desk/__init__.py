"""The desk: JupyterLab opened where the work is, and widgets on real runs."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "browser": ["Browser"],
        "compare": ["RunComparison"],
        "drift": ["DriftExplorer"],
        "errors": ["ErrorExplorer"],
        "home": ["Home", "read_twins"],
        "lab": ["find_place", "open_lab"],
        "launcher": ["Launcher"],
        "threshold": ["Threshold"],
        "whatif": ["WhatIf"],
    },
)

"""Notebooks that carry a machine-learning model through its whole life.

Names are imported when first used, so ``import nbkit`` costs next to nothing.
"""

from nbkit._lazy import attach

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "run": ["Run"],
        "pictures": ["Picture"],
        "problem": ["Problem"],
        "wording": ["Markdown"],
        "registry": ["Registry", "gate"],
        "data": ["reader"],
        "leakage": [],
        "features": [],
        "model": ["Predictions", "fit_each", "metric", "predict"],
        "evaluation": [],
        "explanation": ["explain"],
        "plots": [],
        "serve": [],
        "monitor": ["drift_test"],
        "report": [],
        "desk": [],
        "errors": [],
    },
)

"""Why does it say what it says: what moved each prediction, in raw columns, checked against the served model."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {"attribution": ["Explanation", "explain"], "insight": ["explain_rows", "measure_effects", "permute_features"]},
)

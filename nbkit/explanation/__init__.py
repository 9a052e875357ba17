"""Why does it say what it says: what moved each prediction, in raw columns, checked against the served model."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "attribution": ["Explanation", "explain"],
        "cases": ["explain_rows", "tell_cases"],
        "effects": [
            "compare_influence",
            "describe_column",
            "list_movements",
            "measure_effects",
            "say_check",
            "say_drivers",
            "say_firmness",
            "say_pairs",
            "summarize_explanation",
            "tell_drivers",
        ],
        "usefulness": ["group_correlated", "pair_influence", "permute_features"],
    },
)

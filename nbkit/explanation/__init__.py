"""Why does it say what it says: what moved each prediction, in raw columns, checked against the served model."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "attribution": ["Explanation", "explain"],
        "cases": ["explain_rows", "describe_cases"],
        "effects": [
            "compare_influence",
            "list_movements",
            "measure_effects",
            "describe_check",
            "NOT_FIRM",
            "describe_firmness",
            "judge_firmness",
            "describe_pairs",
            "summarize_explanation",
            "list_drivers",
        ],
        "interactions": ["Interactions", "find_interactions"],
        "usefulness": ["group_correlated", "pair_influence", "permute_features"],
    },
)

"""Models: trained, scored with intervals, priced, calibrated, sliced and explained."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "calibration": ["calibration_table"],
        "candidates": ["CANDIDATES", "make_candidate"],
        "criteria": ["judge", "read_criteria"],
        "costs": ["compare_costs", "confusion_table", "price_rows", "score_cost"],
        "explanation": ["Explanation", "explain"],
        "insight": ["explain_rows", "measure_effects", "permute_features"],
        "fairness": ["compare_groups", "judge_groups", "rate_ratio", "rates_by_group"],
        "grouprate": ["GroupRateClassifier", "GroupRateRegressor"],
        "intervals": ["mark_blocks", "wilson_interval"],
        "metrics": ["METRICS", "compare", "evaluate", "known_metrics", "score_predictions", "measure_skill"],
        "outcome": ["predict"],
        "outcomes": [
            "compare_protected",
            "describe_costs",
            "set_decision",
            "tabulate_outcomes",
            "usual_metric",
        ],
        "selection": ["Selection", "compare_with_best"],
        "slices": ["score_slices", "slice_gap", "worst_slices"],
        "words": [
            "explain_calibration",
            "explain_check",
            "explain_engineered",
            "explain_comparison",
            "explain_costs",
            "explain_decision",
            "explain_groups",
            "explain_importance",
            "explain_learning",
            "explain_slices",
            "explain_training",
            "explain_verdicts",
            "say_decision",
            "summarize_evaluation",
            "summarize_explanation",
            "summarize_training",
        ],
        "threshold": ["Decision", "choose_threshold"],
        "train": ["Training", "learning_curve", "train_candidates"],
    },
)

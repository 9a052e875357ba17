"""Models: fitted, scored with intervals, priced, calibrated, sliced and explained."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "baselines": ["FillEmpty", "GroupRateClassifier", "GroupRateRegressor", "make_baselines"],
        "calibration": ["calibration_table"],
        "criteria": ["judge", "read_criteria"],
        "custom": ["metric"],
        "costs": ["compare_costs", "describe_costs", "price_rows", "score_cost", "tabulate_errors"],
        "explanation": ["Explanation", "explain"],
        "fairness": ["compare_groups", "compare_protected", "judge_groups", "rate_ratio", "rates_by_group"],
        "headlines": ["say_decision", "summarize_evaluation", "summarize_training"],
        "insight": ["explain_rows", "measure_effects", "permute_features"],
        "intervals": ["wilson_interval"],
        "metrics": ["METRICS", "compare", "known_metrics", "measure_skill", "score"],
        "predictions": ["Predictions", "predict", "predict_values"],
        "search": ["Scorer"],
        "selection": ["Selection", "compare_with_best"],
        "shapley": ["draw_rows"],
        "slices": ["score_slices", "slice_gap", "worst_slices"],
        "threshold": ["Decision", "choose_threshold"],
        "train": ["Training", "draw_settings", "fit_each", "learning_curve", "pick"],
    },
)

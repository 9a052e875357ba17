"""Is it good enough: threshold, costs, calibration, slices, groups and the verdict on each criterion."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "answer": ["state_answer"],
        "behaviour": ["check_behaviour"],
        "calibration": ["calibration_table"],
        "cohorts": ["find_cohort"],
        "costs": ["compare_costs", "describe_costs", "tabulate_errors"],
        "criteria": ["judge", "read_criteria"],
        "errors": ["grow_error_tree"],
        "fairness": ["guess_groups", "price_equal_rates"],
        "groups": ["compare_groups", "compare_protected", "judge_groups", "rate_ratio"],
        "slices": ["score_slices", "slice_gap", "worst_slices"],
        "threshold": ["choose_threshold"],
    },
)

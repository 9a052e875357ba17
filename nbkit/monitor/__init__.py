"""Is the model still right, and what should be done now."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "check": ["Monitoring", "check_window"],
        "decision": ["Decision", "decide"],
        "distances": ["Measurement", "drift_test"],
        "drift": ["compare_shares", "measure_drift"],
        "performance": ["estimate_performance", "fit_calibration", "measure_performance"],
        "profile": ["make_profile"],
        "words": ["explain_window", "profile_reference", "describe_reasons", "summarize_window"],
    },
)

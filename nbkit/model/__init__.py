"""Which model: metrics with intervals, candidates searched and fitted, and compared with each other and a baseline."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "baselines": ["FillEmpty", "make_baselines"],
        "custom": ["metric"],
        "metrics": ["METRICS", "compare", "known_metrics", "measure_skill", "score"],
        "predictions": ["Predictions", "predict", "predict_values"],
        "search": ["Scorer"],
        "selection": ["compare_with_best", "summarize_training"],
        "train": ["draw_rows", "draw_settings", "fit_each", "learning_curve", "pick", "summarize_curve"],
    },
)

"""Answers from a registered model, over HTTP and in batch, and the try-out that shows they hold."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "app": ["create_app"],
        "log": ["read_log"],
        "predictor": ["Predictor"],
        "process": ["Service"],
        "tryout": ["bad_requests", "compare_answers", "measure_latency"],
        "gates": ["judge_requirements", "judge_service"],
    },
)

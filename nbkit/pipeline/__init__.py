"""Runs notebooks: the plan, what is taken over, the engine that tells the truth, and the runs in a project."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "runs": ["find_run", "list_runs"],
        "compare": ["compare_models", "compare_runs"],
        "plan": ["Chosen", "Plan", "check_plan", "plan_run"],
        "resume": ["plan_resume"],
        "runner": ["execute_plan"],
        "storage": ["open_storage"],
    },
)

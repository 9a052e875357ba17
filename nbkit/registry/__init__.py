"""Which model is it, what is it made of, may it move on, and who said so."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "confirmations": ["list_unstated", "read_confirmations"],
        "gates": ["evaluate_gates", "find_closed", "gate", "known_gates"],
        "golden": ["check_golden", "make_golden"],
        "registry": ["Registry"],
        "steps": ["admit", "check_use", "find_served", "find_watched", "say_versions", "stage", "stop_if_closed"],
        "upkeep": ["find_unused_files", "list_source_runs"],
        "verdict": ["ASKS_A_PERSON", "Evidence", "Verdict", "reach_verdict"],
        "versions": ["Version"],
    },
)

"""Which model is it, what is it made of, may it move on, and who said so."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "confirmations": ["list_unstated", "read_card", "read_confirmations"],
        "gates": ["evaluate_gates", "find_closed", "gate", "known_gates"],
        "golden": ["check_golden", "make_golden"],
        "registry": ["Registry"],
        "steps": [
            "check_use",
            "find_influence",
            "find_served",
            "find_watched",
            "make_candidate",
            "move_to_staging",
            "stop_if_closed",
        ],
        "verdict": ["Evidence", "Verdict", "reach_verdict"],
    },
)

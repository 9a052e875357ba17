"""What gives the target away, and what makes rows alike."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "find": ["find_leakage", "find_target_copies", "list_suspects"],
        "order": ["judge_order", "measure_order"],
    },
)

"""Many runs that differ in a few parameters: which points, on which processes, and what can be said of the best."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "points": ["draw_points", "list_points", "read_axis"],
        "plan": ["Sweep", "find_sweep", "plan_sweep", "read_sweep"],
        "sweep": ["open_pool", "execute_sweep"],
    },
)

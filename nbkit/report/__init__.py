"""A run as HTML pages that a stakeholder can read anywhere."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "overview": ["Overview", "read_overview"],
        "blocks": ["read_blocks"],
        "pages": ["refresh_fronts", "refresh_versions", "write_report"],
        "compare": ["write_comparison"],
        "diff": ["diff_notebooks", "write_diff"],
        "lineage": ["find_source", "read_lineage", "trace_data", "write_lineage"],
        "pack": ["find_browser", "send_report"],
        "site": ["write_site"],
        "sweep": ["write_command", "shorten", "write_sweep_report"],
        "since": ["read_since"],
    },
)

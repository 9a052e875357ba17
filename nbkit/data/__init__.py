"""Which data, from where, and whether they may be used."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sources": ["take_snapshot"],
        "readers": ["guess_kind", "reader"],
        "labels": ["check_split"],
        "personal": [],
        "splits": ["list_windows", "pin_split", "read_rows", "split_table"],
        "contract": ["check_contract", "infer_contract"],
        "contract_file": ["confirm_contract", "read_contract", "spell_contract"],
        "availability": ["refuse_leaks", "usable_columns"],
        "terms": ["check_parts", "judge_violations", "stop_if_blocking", "summarize_violations"],
    },
)

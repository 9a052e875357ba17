"""Which data, from where, may it be used, and what does the model see of it."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sources": ["Snapshot", "take_snapshot"],
        "tables": ["digest_table"],
        "splits": ["Splits", "check_split", "list_windows", "pin_split", "read_rows", "read_window", "split_table"],
        "contract": [
            "ColumnRule",
            "Confirmation",
            "Contract",
            "TableRule",
            "check_contract",
            "doubt_contract",
            "infer_contract",
        ],
        "contract_file": ["confirm_contract", "read_contract", "spell_contract"],
        "leaks": ["refuse_leaks", "usable_columns"],
        "explore": ["find_oddities", "measure_missing", "summarize_columns", "summarize_target"],
        "leakage": ["find_leakage", "find_target_copies", "list_suspects"],
        "order": ["judge_order", "measure_order"],
        "relations": ["rank_relations"],
        "features": ["Recipe"],
        "terms": [
            "check_parts",
            "describe_contract",
            "dump_contract",
            "explain_violations",
            "judge_violations",
            "load_contract",
            "stop_if_blocking",
            "summarize_violations",
        ],
        "words": [
            "explain_features",
            "explain_missing",
            "explain_relations",
            "explain_splits",
            "explain_target",
            "summarize_exploration",
        ],
        "seen": ["fit_recipe", "list_columns", "list_refused"],
        "declare": ["catalogue_features", "check_features", "declare_features"],
        "inspect": ["Inspection", "inspect_snapshot", "inspect_table"],
        "propose": ["propose_contract", "propose_params"],
    },
)

"""Which data, from where, may it be used, and what does the model see of it."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sources": ["Snapshot", "take_snapshot"],
        "readers": ["reader"],
        "tables": ["digest_table"],
        "splits": ["Splits", "check_split", "list_windows", "pin_split", "read_rows", "read_window", "split_table"],
        "contract": ["ColumnRule", "Contract", "TableRule", "check_contract", "infer_contract"],
        "contract_file": ["Confirmation", "confirm_contract", "read_contract", "spell_contract"],
        "leaks": ["refuse_leaks", "usable_columns"],
        "explore": ["find_oddities", "measure_missing", "summarize_columns", "summarize_target"],
        "leakage": ["find_leakage", "find_target_copies", "list_suspects"],
        "order": ["judge_order", "measure_order"],
        "relations": ["rank_relations"],
        "encoders": ["name_date_parts", "to_date_parts", "to_levels", "to_numbers"],
        "features": [
            "catalogue_features",
            "check_features",
            "choose_columns",
            "fit_recipe",
            "keep_columns",
            "list_refused",
        ],
        "terms": [
            "check_parts",
            "describe_contract",
            "judge_violations",
            "stop_if_blocking",
            "summarize_violations",
        ],
        "inspect": ["Inspection", "inspect_snapshot", "inspect_table"],
        "propose": ["propose_contract", "propose_params"],
    },
)

"""What a table holds, what of it a model sees, and which project is proposed for it."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "explore": ["find_oddities", "map_missing", "measure_missing", "summarize_columns", "summarize_target"],
        "relations": ["measure_associations", "rank_relations"],
        "encoders": ["name_date_parts", "to_date_parts", "to_levels", "to_numbers"],
        "recipe": ["catalogue_features", "check_features", "choose_columns", "fit_recipe", "keep_columns",
                   "list_refused"],
        "inspect": ["inspect_snapshot"],
        "propose": ["propose_contract", "propose_params"],
    },
)  # fmt: skip

"""Pictures of tidy tables: SVG that reads on light and dark pages, with words for who cannot see it."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "picture": ["COLOURS", "INK", "LINES", "MARKERS", "to_picture"],
        "charts": ["draw_bars", "draw_dots", "draw_heatmap", "draw_lines", "draw_map", "draw_panels", "draw_scatter"],
        "distributions": ["draw_distributions"],
        "explanation": ["draw_cases", "draw_effects", "draw_pairs", "draw_swarm"],
        "results": ["draw_calibration", "draw_threshold"],
    },
)

"""Words that many messages share: what may have been meant, how many there are, and what Markdown must not act on."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

JOINER = "\u2060"
# where a tag, a link, a reference, an entity or a macro that makes a link begins
ARMED = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=#|\w+;)|\\(?=(?:href|url|require|style|class|cssId|unicode)\b)")
PLURALS = {"criterion": "criteria", "hypothesis": "hypotheses", "class": "classes", "query": "queries"}

LABELS = {
    "roc_auc": "ROC AUC", "average_precision": "average precision", "log_loss": "log loss", "brier": "Brier score",
    "ece": "calibration error (ECE)", "macro_f1": "macro F1",
    "f1": "F1", "mae": "mean absolute error (MAE)", "mape": "relative error (MAPE)", "r2": "R²",
    "rmse": "root mean squared error (RMSE)", "median_ae": "median absolute error", "cost_per_row": "cost per row",
    "slice_gap": "weakest slice", "rate_ratio": "ratio of selection rates", "n": "rows", "q_value": "q-value",
    "p_value": "p-value", "psi": "PSI", "ks": "Kolmogorov–Smirnov", "sha256": "SHA-256",
    "p50_ms": "median, ms", "p95_ms": "95 % within, ms", "p99_ms": "99 % within, ms", "max_ms": "longest, ms",
    "latency_p95_ms": "95 % of the responses within (ms)", "throughput_rps": "requests a second",
    "True": "yes", "False": "no",
}  # fmt: skip


def suggest(name: Any, known: Iterable[Any], *, most: int = 20) -> str:
    """Return the end of an error message: the nearest known name, and which there are.

    Parameters
    ----------
    name
        The unknown name.
    known
        The names there are.
    most
        How many of them are listed. A longer list is cut short, and left out beside a near name.

    Examples
    --------
    >>> suggest("carier", ["carrier", "origin"])
    "; did you mean 'carrier'? There are carrier, origin"
    >>> suggest("carier", ["carrier", "origin"], most=1), suggest("x", ["carrier", "origin"], most=1), suggest("x", [])
    ("; did you mean 'carrier'?", '; there are carrier, …', '')
    """
    names = [str(one) for one in known]
    listing = f"here are {', '.join(names[:most])}{', …' if len(names) > most else ''}" if names and most else ""
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?" + (f" T{listing}" if listing and len(names) <= most else "")
    return f"; t{listing}" if listing else ""


def shorten(value: Any, most: int = 60) -> str:
    """Return a value as Python writes it, cut with a mark where that is long.

    Examples
    --------
    >>> shorten("a" * 9, most=8)
    "'aaaa…"
    """
    return clip(repr(value), most)


def clip(text: str, most: int = 60) -> str:
    """Return a text, cut with a mark where it is long.

    Examples
    --------
    >>> clip("a" * 9, most=8)
    'aaaaa…'
    """
    return text if len(text) <= most else f"{text[: most - 3]}…"


def format_count(number: float, noun: str) -> str:
    """Return a count with its noun in the right number.

    Examples
    --------
    >>> format_count(1, "column"), format_count(28128, "row"), format_count(0, "criterion")
    ('1 column', '28,128 rows', '0 criteria')
    """
    return f"{int(number):,} {noun if int(number) == 1 else PLURALS.get(noun, noun + 's')}"


def describe(name: str) -> str:
    """Write a name of a data frame in words.

    Examples
    --------
    >>> describe("roc_auc"), describe("share_of_actual"), describe("n")
    ('ROC AUC', 'share of actual', 'rows')
    """
    return LABELS.get(name, name.replace("_", " ") if re.fullmatch(r"[a-z0-9_]+", name) else name)


def capitalize(text: str) -> str:
    """Begin a text with a capital letter, unless it begins with a name in snake_case or of a version.

    Examples
    --------
    >>> capitalize("log loss is worse"), capitalize("wind_speed drifted")
    ('Log loss is worse', 'wind_speed drifted')
    """
    return text if re.search("[_@]", text.partition(" ")[0]) else text[:1].upper() + text[1:]


def end_sentence(sentence: Any) -> str:
    """Begin a sentence with a capital and end it with a full stop.

    Examples
    --------
    >>> end_sentence(" no row is left out"), end_sentence("Why?")
    ('No row is left out.', 'Why?')
    """
    text = capitalize(str(sentence).strip())
    return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'}"


def format_value(value: float, low: float = math.nan, high: float = math.nan, *, sign: str = "") -> str:
    """Return a number in as many digits as its interval allows, two of its width; without one, in three of its own.

    Examples
    --------
    >>> format_value(0.74216, 0.713, 0.7664), format_value(55021.3, 35111, 74002), format_value(0.74216)
    ('0.742', '55,000', '0.742')
    >>> format_value(1234.5), format_value(0.5), format_value(math.nan)
    ('1,234', '0.5', 'unknown')
    """
    if not math.isfinite(value):
        return "unknown"
    value, low, high = (float(f"{each:.6g}") for each in (value, low, high))  # as a notebook's table shows them
    width = high - low
    if 0 < width < math.inf:
        places = min(1 - math.floor(math.log10(width)), 12)
        return f"{round(value, places) + 0.0:{sign},.{max(places, 0)}f}"
    whole = abs(value) >= 1000 or float(value).is_integer()
    return f"{value + 0.0:{sign},.0f}" if whole else f"{value:{sign}.3g}"


def format_interval(low: float, high: float, *, sign: str = "") -> str:
    """Return an interval in two digits of its width.

    Examples
    --------
    >>> format_interval(0.713, 0.7664), format_interval(0.82, math.inf), format_interval(math.nan, math.nan)
    ('0.713 to 0.766', '0.82 to no limit', 'unknown')
    """
    if math.isnan(low) or math.isnan(high):
        return "unknown"
    ends = ("no limit" if math.isinf(each) else format_value(each, low, high, sign=sign) for each in (low, high))
    return " to ".join(ends)


def format_estimate(value: float, low: float, high: float, *units: str, sign: str = "") -> str:
    """Return a number with its units and its interval, all in the same digits; of a certain number without one.

    Examples
    --------
    >>> format_estimate(55021.3, 35111, 74002, "USD"), format_estimate(1.96, math.nan, math.nan)
    ('55,000 USD (35,000 to 74,000)', '1.96 (interval unknown)')
    >>> format_estimate(0.5, 0.5, 0.5)
    '0.5'
    """
    if not math.isfinite(value):
        return "unknown"
    span = "interval unknown" if math.isnan(low + high) else format_interval(low, high, sign=sign)
    said = [format_value(value, low, high, sign=sign), *filter(None, units), f"({span})"]
    return " ".join(said if not low == value == high else said[:-1])


def format_share(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Return a share in per cent, with its interval if there is one.

    Examples
    --------
    >>> format_share(0.673, 0.577, 0.757), format_share(0.63)
    ('67 % (58 to 76)', '63 %')
    """
    if not math.isfinite(value):
        return "an unknown share"
    if not math.isfinite(low + high):
        return f"{100 * value:.0f} %"
    return format_estimate(100 * value, 100 * low, 100 * high, "%")


def format_score(row: Mapping[str, Any]) -> dict[str, str]:
    """Write a row of `nbkit.pipeline.compare_models` for people: numbers with their intervals, differences with a sign.

    Examples
    --------
    >>> ends = {"value": 0.74, "low": 0.71, "high": 0.77}, {"value": 0.75, "low": 0.72, "high": 0.78}
    >>> row = {"metric": "roc_auc", "before": ends[0], "after": ends[1], "verdict": "better"}
    >>> format_score(row | {"difference": 0.01, "low": 0.002, "high": 0.019})["difference"]
    '+0.010 (+0.002 to +0.019)'
    """
    told = {key: format_estimate(*(row[key][name] for name in ("value", "low", "high"))) for key in ("before", "after")}
    middle, low, high = (float(row.get(name, math.nan)) for name in ("difference", "low", "high"))
    difference = "" if math.isnan(middle) else format_estimate(middle, low, high, sign="+")
    return {"metric": describe(row["metric"]), **told, "difference": difference, "verdict": row.get("verdict", "")}


def disarm(text: str) -> str:
    """Keep Markdown from making tags, links or pictures of what stands in a text, which looks as before.

    A word joiner (U+2060) parts the characters that would begin a tag, a link or a macro of TeX. This holds inside of
    code and outside of it, whatever reads the Markdown, while an entity or a backslash would show in one of them.

    Examples
    --------
    >>> disarm("a < b, <script>, [x](javascript:y), ![x][y]").replace(JOINER, "~")
    'a < b, <~script>, [x]~(javascript:y), ![x]~[y]'
    """
    return ARMED.sub(lambda found: found[0] + JOINER, text)


class Markdown:
    """Markdown to be displayed by a notebook, where no text of data or params acts as a tag or a link.

    Parameters
    ----------
    text
        Sentences, lists and tables; tags and links in it are shown as text.

    Examples
    --------
    >>> Markdown("**bold**, <b>").text == "**bold**, <" + JOINER + "b>"
    True
    """

    def __init__(self, text: str) -> None:
        self.text = disarm(text)

    @classmethod
    def bullets(cls, sentences: Iterable[str]) -> "Markdown":
        """Return sentences as a list; empty ones are left out."""
        return cls("\n".join(f"- {cls.line(capitalize(each))}" for each in sentences if each))

    @staticmethod
    def line(text: object) -> str:
        r"""Return a text of data or params in one line, which neither ends a cell of a table nor begins a list.

        Examples
        --------
        >>> Markdown.line("yes | no\n- perhaps")
        'yes \\| no - perhaps'
        """
        return " ".join(str(text).split()).replace("|", "\\|")

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

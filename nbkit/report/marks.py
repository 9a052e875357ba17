"""A status as a mark with its word, and its tone: never by colour alone."""

from nbkit.wording import format_count

MARKS = {
    "passed": "✓ passed", "pass": "✓ pass", "ok": "✓ ok", "met": "✓ met", "better": "✓ better", "cheaper": "✓ cheaper",
    "worse": "✕ worse", "blocking": "✕ blocking", "warning": "■ warning", "drift": "■ drift", "watch": "■ watch",
    "fail": "✕ fail", "failed": "✕ failed", "refused": "✕ refused", "retrain": "✕ retrain",
    "look": "■ needs review", "inconclusive": "■ inconclusive",
    "interrupted": "■ interrupted", "running": "■ running",
}  # fmt: skip


def mark(word: str) -> str:
    """Return a status with its mark, or as it is if it has none.

    Examples
    --------
    >>> mark("passed"), mark("pending")
    ('✓ passed', 'pending')
    """
    return MARKS.get(word, word)


def tone(word: str) -> str:
    """Return ``good``, ``bad`` or ``unsure``.

    Examples
    --------
    >>> tone("passed"), tone("refused"), tone("pending")
    ('good', 'bad', 'unsure')
    """
    return {"✓": "good", "✕": "bad"}.get(mark(word)[:1], "unsure")


def speak(verdict: str, conditions: int = 0) -> str:
    """Write a verdict as a heading.

    Examples
    --------
    >>> speak("APPROVE WITH CONDITIONS", 2), speak("NOT DECIDED"), speak("LOOK")
    ('Approve with 2 conditions', 'Not decided', 'Needs review')
    """
    if verdict == "APPROVE WITH CONDITIONS" and conditions:
        return f"Approve with {format_count(conditions, 'condition')}"
    return {"LOOK": "Needs review"}.get(verdict, verdict.capitalize())

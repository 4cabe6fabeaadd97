"""The table of rules as docs/doctor.md has it."""

from kerasnets.doctor.pairs import PAIR_RULES
from kerasnets.doctor.rules import RULES


def rules_table() -> str:
    """Return a row for each rule: what it looks at, thresholds, why, when, and what it explains."""
    lines = ["| rule | looks at | thresholds | why those | when | explains |", "|---|---|---|---|---|---|"]
    for rule in RULES:
        live = "also while training" + (f", once {rule.live_from:.0%} of it is over" if rule.live_from else "")
        when = "at the end" if rule.at_end else live if rule.live else "at any time"
        lines.append(_row(rule.name, rule.looks_at, rule.thresholds, rule.why, when, ", ".join(rule.explains)))
    for pair in PAIR_RULES:
        lines.append(_row(pair.name, pair.looks_at, pair.thresholds, pair.why, "with RUN2", ""))
    return "\n".join(lines) + "\n"


def _row(name: str, looks_at: str, thresholds: object, why: str, when: str, explains: str) -> str:
    values = ", ".join(f"{key} {value:g}" for key, value in dict(thresholds).items())  # type: ignore[call-overload]
    cells = (f"`{name}`", looks_at, values, why, when, explains)
    return "| " + " | ".join(cell.replace("|", "/").replace("*", "\\*") for cell in cells) + " |"

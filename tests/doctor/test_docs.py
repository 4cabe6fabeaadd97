"""docs/doctor.md has every rule with its thresholds, as they are."""

from pathlib import Path

from doctor_tables import rules_table

DOCS = Path(__file__).parents[2] / "docs" / "doctor.md"
BEGIN, END = "<!-- rules: checked by tests/doctor/test_docs.py -->\n", "<!-- end of rules -->"


def test_the_table_of_rules_is_the_code_s() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == f"\n{rules_table()}\n"

"""Rows of tables that people open in a spreadsheet."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cells(*values: object) -> list[object]:
    """Return a row's values; a text that a spreadsheet would take for a formula begins with an apostrophe.

    Class names and paths are other people's words, and a formula can send a table's content away.
    """
    return [f"'{value}" if isinstance(value, str) and _is_formula(value) else value for value in values]


def _is_formula(text: str) -> bool:
    if not text.startswith(_FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False

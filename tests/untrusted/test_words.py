"""Words from somebody else: text in a terminal and a spreadsheet, never a command or a formula."""

import io
import json
from pathlib import Path

import pytest
from attacks import ESCAPES, MARKUP

from kerasnets.console import Words
from kerasnets.data.cells import cells
from kerasnets.errors import plain


def test_no_word_reaches_the_terminal_as_a_command() -> None:
    stream = io.StringIO()
    console = Words(file=stream, force_terminal=True, width=200, markup=False, emoji=False, highlight=False)
    console.print(f"{ESCAPES} {MARKUP} :smile:", style="bold")
    assert MARKUP in stream.getvalue() and ":smile:" in stream.getvalue()
    rest = stream.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert not set(rest) & set("\x1b\x07\x9b\u202e")
    assert plain("a\tb\nc\x1b[0m") == "a\tb\nc\\u001b[0m"


@pytest.mark.slow
def test_no_error_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "kerasnets", "report", str(tmp_path / "\x1b[31mred")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "\\u001b[31mred does not exist" in done.stderr and "\x1b" not in done.stderr


def test_json_shows_control_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    from kerasnets.console import emit_json

    emit_json({"label": ESCAPES})
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\x9b\u202e")
    assert json.loads(said) == {"label": ESCAPES}


def test_a_cell_is_no_formula() -> None:
    assert cells("=1+1", "@SUM(A1)", "-cmd|' /C calc'!A0", "\t=1", "-1.5", "+2", "cat", 3, -0.5) == [
        *("'=1+1", "'@SUM(A1)", "'-cmd|' /C calc'!A0", "'\t=1", "-1.5", "+2", "cat", 3, -0.5)
    ]

"""The command line as a shell sees it: output, exit codes, start-up time's cause (imports)."""

import subprocess
import sys
from pathlib import Path

import pytest

from kerasnets import __version__
from kerasnets.cli import COMMANDS


def kerasnets(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kerasnets", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def test_version() -> None:
    result = kerasnets("--version")
    assert (result.returncode, result.stdout) == (0, f"kerasnets, version {__version__}\n")


def test_help_names_every_command() -> None:
    result = kerasnets("--help")
    assert result.returncode == 0
    assert [word for word in COMMANDS if f"\n  {word} " not in result.stdout] == []


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["config"], ["config", "digits-resnet20"], ["train", "-h"], ["store", "list", "."]],
)
def test_what_needs_no_tensorflow_imports_none(words: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['kerasnets', *{words!r}]; import atexit;"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn'};"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))));"
        "from kerasnets.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_says_what_its_arguments_are(command: str) -> None:
    result = kerasnets(command, "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Usage: python -m kerasnets {command} [OPTIONS] ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "Error: no command 'trian'; did you mean 'train'?; see `kerasnets --help`\n"),
        (["data", "chek"], "Error: no command 'data chek'; did you mean 'check'?; see `kerasnets data --help`\n"),
        (
            ["train", "digits-resnet2"],
            "Error: no config file or shipped config 'digits-resnet2'; did you mean 'digits-resnet20'?\n",
        ),
        (
            ["train", "digits-resnet20", "training.epoch=3"],
            "1 problem in the config:\n  training.epoch: unknown key; did you mean 'epochs'?\n",
        ),
    ],
)
def test_wrong_input_is_one_message_and_exit_2(words: list[str], message: str, tmp_path: Path) -> None:
    result = kerasnets(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.endswith(message)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_config_prints_what_train_would_use() -> None:
    result = kerasnets("config", "digits-resnet20", "training.epochs=3")
    assert result.returncode == 0
    assert "  epochs: 3\n" in result.stdout


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    code = (
        "import os, signal\n"
        "from kerasnets import cli\n"
        "def command(**_):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        signal.pause()\n"
        "    finally:\n"
        "        print('cleaned up')\n"
        "cli.kerasnets.main = command\n"
        "cli.main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (143, "cleaned up\n")
    assert result.stderr == "Interrupted: by SIGTERM\n"

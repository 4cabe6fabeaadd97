"""The arrows of the design, held by reading every import: they run one way only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kerasnets"
STAGES = {"training", "artifacts", "inference", "proposal", "doctor"}
LEAVES = {"errors", "console", "environment", "commands", "documents", "durable"}
# words, terminal, JSON, files: these import nothing of ours but errors

# What each part may import of ours, besides itself.
MAY = {
    "errors": set(),
    "console": {"errors"},
    "environment": set(),
    "commands": {"errors"},
    "documents": {"errors"},
    "durable": set(),
    "models": {"errors"},
    "config": {"errors", "models"},
    "data": {"errors", "console", "config", "documents", "durable"},
    "run": {"errors", "config", "documents", "durable"},
    "measures": {"data"},
    "gradcam": {"errors", "data", "models"},
    "telemetry": LEAVES,
    "doctor": LEAVES | {"config", "run", "telemetry"},
    "report": LEAVES | {"config", "data", "measures", "run", "telemetry", "doctor", "inference"},
    "runs": LEAVES | {"config", "run"},
    "benchmark": LEAVES | {"artifacts", "config", "data", "inference", "models", "run", "telemetry", "training"},
    "training": LEAVES | {"config", "data", "models", "run", "telemetry", "doctor", "report", "gradcam"},
    "artifacts": LEAVES | {"config", "data", "gradcam", "measures", "models", "run"},
    "inference": LEAVES | {"config", "data", "gradcam", "measures", "models", "run", "artifacts"},
    "serve": LEAVES | {"artifacts", "data", "inference"},
    "stores": LEAVES | {"artifacts"},
    "proposal": LEAVES | {"config", "data", "models"},
    "__init__": STAGES | {"config", "models", "run"},  # for type checkers alone: the names are imported when used
    "__main__": {"cli"},
    "cli": LEAVES,
}
COMMANDS_MAY = LEAVES | {"config", "run"}  # what a stage's command.py may import besides what the stage may


def imports(path: Path) -> set[str]:
    """Return the parts of ours (`kerasnets.<part>`) that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import")
        if isinstance(node, ast.ImportFrom) and node.module == "kerasnets":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kerasnets."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("kerasnets.")}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_run_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = MAY[part] | {part} | (COMMANDS_MAY if path.name == "command.py" else set())
    assert imports(path) <= allowed


def test_models_are_keras_alone() -> None:
    for path in (PACKAGE / "models").rglob("*.py"):
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names |= {node.module or "" for node in tree if isinstance(node, ast.ImportFrom)}
        assert not {name for name in names if name.split(".")[0] in ("tensorflow", "tf")}, path


def test_no_drawers() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "misc", "common")]

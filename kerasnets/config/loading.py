"""Load a config from YAML, lay dotted words over it, check it. Imports no TensorFlow.

Every scalar is read as text and converted by the declared type of its key, so that `6e-4` is a number and `on` a
word wherever the key wants one (PyYAML's own guesses differ).
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from kerasnets.config.errors import describe
from kerasnets.config.fields import none
from kerasnets.config.sections import Config
from kerasnets.errors import UserError, nearest

MOST = 4 * 2**20
"""Characters of a config."""
DEEPEST = 100
"""Levels of a config. Python's own limit does not do: very deep models raise it."""


class _Loader(yaml.BaseLoader):
    """Reads every scalar as text.

    Refuses a key that stands twice, references, which can multiply a small file, and more than `DEEPEST` levels.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="references such as *name are not taken", problem_mark=mark)
        if self.depth == DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' stands twice", problem_mark=node.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)


def _parse(text: str, where: str) -> Any:
    if len(text) > MOST:
        raise UserError(f"{where}: a config has at most {MOST >> 20} million characters")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a BaseLoader: text, lists and mappings only)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{where}: {error}") from error


def shipped() -> dict[str, Path]:
    """Return the configs that come with kerasnets: name -> path."""
    folder = resources.files("kerasnets").joinpath("configs")
    if not folder.is_dir():  # a source checkout keeps them beside the package
        folder = Path(__file__).resolve().parents[2] / "configs"
    return {path.stem: path for path in sorted(Path(str(folder)).rglob("*.yaml"))}


def find(word: str | Path) -> Path:
    """Return the path that CONFIG stands for: a file if one exists there, else a shipped name."""
    path, names = Path(word), shipped()
    if path.is_file():
        return path
    if str(word) in names:
        return names[str(word)]
    if path.is_dir():
        raise UserError(f"{word} is a folder, not a config; `kerasnets init {word}` writes one for its images")
    siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.suffix in (".yaml", ".yml") else []
    hint = nearest(path.name, siblings) or nearest(path.stem, names) or f"; there are {', '.join(names)}"
    raise UserError(f"no config file or shipped config '{word}'{hint}")


def _override(raw: dict[str, Any], word: str) -> None:
    key, equals, text = word.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise UserError(f"'{word}' is not of the form key=value, such as training.epochs=3")
    here = raw
    for depth, part in enumerate(parts[:-1], start=1):
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise UserError(f"'{word}': {'.'.join(parts[:depth])} is a value and has no keys below it")
    value = _parse(text, f"'{word}'")
    if isinstance(here.get(parts[-1]), dict) and not isinstance(value, dict) and none(value) is not None:
        raise UserError(
            f"'{word}': {key} is a section; set one of its keys, such as {key}.{next(iter(here[parts[-1]]))}"
        )
    here[parts[-1]] = value


def check(raw: dict[str, Any], where: str) -> Config:
    """Return the config that the nested mapping `raw` describes; `where` names it in errors.

    Raises:
        UserError: with a line for each wrong key: what was found, what is allowed, the nearest valid name.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        problems = describe(error, Config)
    except RecursionError as error:
        raise UserError(f"{where}: nested too deeply") from error
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise UserError("\n  ".join([f"{where}: {count} in the config:", *problems]))


def load(word: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Return the config of a file or shipped name, with dotted `key=value` words laid over it.

    Raises:
        UserError: no such config, not YAML, or wrong keys or values (all of them in one message).
    """
    path = find(word)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    raw = _parse(text, str(path))
    if not isinstance(raw, dict):
        raise UserError(f"{path}: a config is a mapping of keys to values, not {type(raw).__name__}")
    raw.setdefault("name", path.stem)
    for override in overrides:
        _override(raw, override)
    return check(raw, str(path))


def update(config: Config, **sections: dict[str, Any]) -> Config:
    """Return `config` with values replaced, checked like a loaded one: `update(config, data={"channels": 1})`."""
    raw = config.model_dump(mode="json")
    for section, values in sections.items():
        raw[section].update(values)
    return check(raw, config.name)


def override(config: Config, words: Sequence[str]) -> Config:
    """Return `config` with dotted `key=value` words laid over it, checked like a loaded one.

    Raises:
        UserError: wrong keys or values.
    """
    raw = config.model_dump(mode="json")
    for word in words:
        _override(raw, word)
    return check(raw, config.name)


def schema() -> dict[str, Any]:
    """Return the JSON schema of a config file, with each model family's options, for editors."""
    from kerasnets.models.schema import model_section

    document = Config.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    settings = {key: value for key, value in document["$defs"]["Model"]["properties"].items() if key != "name"}
    document["$defs"]["Model"] = {"title": "Model", "anyOf": model_section(settings)}
    return document

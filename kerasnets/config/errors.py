"""Words for what pydantic finds wrong in a config: key path, what was found, what is allowed, the nearest name."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kerasnets.errors import nearest

MOST = 50
"""Problems that are told."""
_WIDEST = 1000


def _section_in(annotation: object) -> type[BaseModel] | None:
    """Return the section class inside an annotation such as `Annotated[Section | None, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((found for arg in get_args(annotation) if (found := _section_in(arg))), None)
    return None


def _section(root: type[BaseModel], keys: tuple[Any, ...]) -> type[BaseModel] | None:
    """Return the section class that the key path leads to."""
    here: type[BaseModel] | None = root
    for key in keys:
        if here is None or key not in here.model_fields:
            return None
        here = _section_in(here.model_fields[key].annotation)
    return here


def _expected(expected: str) -> list[str]:
    return [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]


def _line(error: ErrorDetails, root: type[BaseModel]) -> str:
    keys, found, kind = error["loc"], error["input"], error["type"]
    path = ".".join(str(key) for key in keys if not str(key).startswith("literal["))
    if kind == "extra_forbidden":
        section = _section(root, keys[:-1])
        known = list(section.model_fields) if section else []
        hint = nearest(str(keys[-1]), known) or (f"; allowed: {', '.join(known)}" if known else "")
        return f"{path}: unknown key{hint}"
    if kind == "missing":
        return f"{path}: missing"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return f"{path}: found '{found}', allowed: {expected}{nearest(str(found), _expected(expected))}"
    if kind == "value_error" and keys in ((), ("model",)):
        return str(error["ctx"]["error"])  # names the keys itself
    if kind == "value_error":
        return f"{path}: {error['ctx']['error']}"
    if kind in ("model_type", "model_attributes_type"):
        return f"{path}: found {found!r}, allowed: a section with keys"
    message = error["msg"].removeprefix("Input ").replace("should be", "must be", 1)
    return f"{path}: found {found!r}, {message}"


def describe(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return a line for each problem in `error`; `root` is the class that was validated."""
    found = error.errors()
    lines = (line for details in found[:MOST] for line in _line(details, root).splitlines())
    more = [f"… and {len(found) - MOST} more"] if len(found) > MOST else []
    return [line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…" for line in dict.fromkeys(lines)] + more

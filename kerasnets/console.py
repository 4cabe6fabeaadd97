"""What the commands show: results on stdout, progress and notes on stderr."""

import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from kerasnets.errors import plain


class Words(Console):
    """Shows words as they are: no markup in them, and control characters are not sent to the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


out = Words(markup=False, emoji=False, highlight=False, soft_wrap=True)
err = Words(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def emit_json(document: dict[str, Any]) -> None:
    """Print `document` as the one JSON document of a command run with `--json`."""
    sys.stdout.write(plain(json.dumps(document, indent=2, ensure_ascii=False, default=str)) + "\n")
    sys.stdout.flush()


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator["Advance"]:
    """Show a bar on stderr while the block runs; yields a function that moves it on by so many items."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal) as bar:
        yield Advance(bar, bar.add_task(description, total=total))


class Advance:
    """Moves a progress bar on: `advance()` by one item, `advance(n)` by n."""

    def __init__(self, bar: Progress, task: Any) -> None:
        self._bar, self._task = bar, task

    def __call__(self, items: int = 1) -> None:
        self._bar.advance(self._task, items)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what libraries print to stdout to stderr instead, so that stdout holds results alone."""
    saved, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = saved


_ASIDE = ("matplotlib", "pandas", "sklearn")
"""What TensorFlow and Keras import wherever it is installed, for wrappers and pictures that no command uses."""


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, without start-up messages, which no log level of theirs hides.

    They are written by C++ code to file descriptor 2 while the library loads; should the import fail, they are shown.
    Packages that Keras can do without are not imported for its sake, which saves a second. No garbage is collected
    meanwhile, nor are the million objects that stay looked at in later collections, which saves another.
    """
    if "tensorflow" in sys.modules and "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hidden_stderr(), _without(_ASIDE), _no_garbage():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Collect no garbage in the block, and never look for it among the objects that there are at its end."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


@contextmanager
def _without(packages: Iterable[str]) -> Iterator[None]:
    """Have imports of packages fail as if they were not installed, but for those that are imported already."""
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # of which import makes ModuleNotFoundError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def hidden_stderr() -> Iterator[None]:
    """Keep what is written to file descriptor 2, also by C++ code, off the screen; if the block fails, show it."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(shown, hidden.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)

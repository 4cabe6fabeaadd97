"""Where those files are kept that can be made again."""

import os
from pathlib import Path


def cache_root() -> Path:
    """Return the user's directory for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasnets"

"""What lies in a folder, or is written in a table, besides the images that training would take."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kerasnets.config import Data
from kerasnets.data import files, tree
from kerasnets.data.check.findings import Finding
from kerasnets.data.check.looking import is_image
from kerasnets.data.encoded import Files
from kerasnets.data.files import SPLIT_FOLDERS, SPLIT_WORDS, Columns
from kerasnets.data.splitting import Examples
from kerasnets.data.strings import Strings
from kerasnets.data.tree import Kind

_START = 16  # bytes that say what a file is


@dataclass
class Listing:
    """The images of a source, as far as they can be made out, and what was found on the way."""

    root: Path
    columns: Columns = field(default_factory=Columns)
    findings: list[Finding] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    """Classes that have a folder, but no images."""

    def note(self, kind: str, name: str, detail: str = "") -> None:
        self.findings.append(Finding(kind, (os.path.join(self.root, name),), detail))


def listed(data: Data) -> tuple[Listing, Examples] | None:
    """Return what the path of a folder or table holds, however wrong it is; None for other sources."""
    if data.path is None or data.source not in ("folder", "csv"):
        return None
    listing = Listing(data.path if data.source == "folder" else data.path.parent)
    names = Strings.of(_folder(listing) if data.source == "folder" else _table(data.path, listing))
    return listing, listing.columns.unchecked(Files(os.fspath(listing.root), names), names)


def _folder(listing: Listing) -> Iterator[str]:
    """Yield the images, and note whatever else there is."""
    _beside(listing)
    counts: dict[str, int] = {}
    for split, label, path, prefix in files.classes(listing.root):
        for name, kind in tree.below(path, prefix):
            if files.is_image(name, kind):
                listing.columns.add(label, split)
                counts[label] = counts.get(label, 0) + 1
                yield name
            _entry(listing, name, kind)
        counts.setdefault(label, 0)
    listing.empty = [label for label, count in counts.items() if not count]


def _entry(listing: Listing, name: str, kind: Kind) -> None:
    if not files.is_utf8(name):
        listing.note("not_utf8", name)
    if kind is Kind.NOWHERE:
        listing.note("broken_link", name)
    elif kind is Kind.SPECIAL and files.is_image(name, Kind.FILE):
        listing.note("special", name)
    elif kind is Kind.AGAIN:
        listing.note("link_again", name)
    elif kind is Kind.FILE and not files.is_image(name, kind):
        image = _begins_like_image(os.path.join(listing.root, name))
        listing.note(*("left_aside", name, "an image, by its content") if image else ("ignored", name))
    elif kind is Kind.HIDDEN and files.is_image(name, Kind.FILE):
        listing.note("ignored", name, "its name begins with a dot")


def _begins_like_image(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return is_image(file.read(_START))
    except OSError:
        return False


def _beside(listing: Listing) -> None:
    """Note what lies beside the folders that training reads."""
    tops = {path for _, _, path, _ in files.classes(listing.root)}
    used = tops | {os.path.dirname(path) for path in tops}
    for folder in sorted({os.fspath(listing.root), *(os.path.dirname(path) for path in tops)}):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            name = os.path.relpath(entry.path, listing.root)
            if entry.name.startswith(".") or entry.path in used:
                continue
            if Path(entry.path).is_dir():
                _unused(listing, name)
            elif files.is_image(entry.name, Kind.FILE) or _begins_like(entry):
                listing.note("left_aside", name, "an image beside the folders of classes")
            else:
                listing.note("ignored", name)


def _begins_like(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_file() and _begins_like_image(entry.path)


def _unused(listing: Listing, name: str) -> None:
    count = sum(files.is_image(inner, kind) for inner, kind in tree.below(os.path.join(listing.root, name)))
    if count:
        same = SPLIT_FOLDERS.get(name)
        why = f"another folder is the {same} split" if same else "beside train/, folders of other names are not read"
        listing.note("left_aside", name, f"{count:,} images; {why}")


def _table(path: Path, listing: Listing) -> Iterator[str]:
    """Yield the images that there are, and note each line that cannot be used."""
    seen: dict[str, int] = {}
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        for row in reader:
            name, label, line = row.get("path") or "", row.get("label") or "", reader.line_num
            split = SPLIT_WORDS.get((row.get("split") or "train").strip().lower())
            target = os.path.join(path.parent, name)
            if not name or not label or split is None:
                why = "path or label is empty" if not name or not label else f"split '{row['split']}' is unknown"
                listing.findings.append(Finding("row", (target,) if name else (), f"line {line}: {why}"))
            elif not os.path.lexists(target):
                listing.note("missing", name, f"line {line}")
            elif not os.path.isfile(target):
                special = os.path.exists(target)
                listing.note("special" if special else "broken_link", name, f"line {line}")
            else:
                first = seen.setdefault(files.plain_id(name, path.parent), line)
                if first != line:
                    listing.note("listed_twice", name, f"lines {first} and {line}")
                if not files.is_utf8(name):
                    listing.note("not_utf8", name, f"line {line}")
                listing.columns.add(label, split)
                yield name

"""What can be wrong with a data set: kinds of findings, how serious each is, and what helps."""

from dataclasses import dataclass
from typing import Any

PROBLEM, NOTE = "problem", "note"
_SKIP = "replace them, or leave them out with data.skip_corrupt=true"


@dataclass(frozen=True)
class Rule:
    """A kind of finding: `problem` (training stops, or its result is worth less) or `note` (worth knowing)."""

    severity: str
    words: str
    remedy: str


RULES = {
    "refused": Rule(PROBLEM, "training would refuse this data", "see what is said"),
    "row": Rule(PROBLEM, "lines of the table that cannot be used", "correct or remove the lines"),
    "missing": Rule(PROBLEM, "files that are not there", "correct the table, or bring the files"),
    "broken_link": Rule(PROBLEM, "links that lead nowhere or to themselves", f"mend or remove them; {_SKIP}"),
    "special": Rule(PROBLEM, "pipes, sockets or devices with the name of an image", "remove them; they are not read"),
    "unreadable": Rule(PROBLEM, "files that cannot be read", _SKIP),
    "empty": Rule(PROBLEM, "files of zero bytes", _SKIP),
    "not_image": Rule(PROBLEM, "files that are no JPEG, PNG, GIF, BMP or WebP image", f"convert them; else {_SKIP}"),
    "truncated": Rule(PROBLEM, "images that are cut short", f"fetch them again; else {_SKIP}"),
    "bomb": Rule(PROBLEM, "images too large to decode", f"make them smaller; else {_SKIP}"),
    "broken": Rule(PROBLEM, "images that are broken or not supported", _SKIP),
    "animated": Rule(PROBLEM, "animated WebP images", f"save their first frame; else {_SKIP}"),
    "two_classes": Rule(PROBLEM, "the same image in two classes", "decide which class is right, remove the other"),
    "leak": Rule(PROBLEM, "the same image in training and in validation or test", "keep it in one split"),
    "listed_twice": Rule(PROBLEM, "files that are listed more than once", "remove the lines"),
    "empty_class": Rule(PROBLEM, "classes without training images", "add images, or remove the class"),
    "label_typo": Rule(PROBLEM, "class names that look misspelt", "correct the names, if they mean the same"),
    "class_name": Rule(PROBLEM, "class names that cannot be written", "rename the classes"),
    "left_aside": Rule(PROBLEM, "images that are left aside because of their name or place", "rename or move them"),
    "missing_in_split": Rule(NOTE, "classes that a held-out split lacks", "add some: nothing is measured of them"),
    "imbalance": Rule(NOTE, "classes of very different size", "try training.class_weights=balanced"),
    "duplicate": Rule(NOTE, "the same image more than once in a class", "remove copies; a random split may part them"),
    "near_two_classes": Rule(NOTE, "images that look alike in two classes", "look whether both labels are right"),
    "near_leak": Rule(NOTE, "images that look alike in training and in validation or test", "keep them in one split"),
    "near_duplicate": Rule(NOTE, "images that look alike in a class", "remove what is the same picture again"),
    "wrong_extension": Rule(NOTE, "images of another format than their name says", "rename them; the content decides"),
    "first_frame": Rule(NOTE, "animations, of which the first frame is taken", "save the frame that you want"),
    "aspect": Rule(NOTE, "images much longer than wide, or wider than long", "data.resize=pad keeps their ends"),
    "small": Rule(NOTE, "images far smaller than the others", "remove them, or bring larger ones"),
    "ignored": Rule(NOTE, "files that are ignored because of their names", "nothing, if they are no images"),
    "link_again": Rule(NOTE, "links to folders that are listed anyway", "remove them; they are not followed"),
    "not_utf8": Rule(NOTE, "names that are not UTF-8", "rename them: other programs may stumble"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found: its kind, the files it is about, and what there is to say."""

    kind: str
    paths: tuple[str, ...]
    detail: str = ""

    @property
    def rule(self) -> Rule:
        """What is known of the kind."""
        return RULES[self.kind]

    def document(self) -> dict[str, Any]:
        """Return the finding as `data check --json` prints it."""
        known = {"kind": self.kind, "severity": self.rule.severity, "words": self.rule.words}
        return {**known, "detail": self.detail, "paths": list(self.paths), "remedy": self.rule.remedy}

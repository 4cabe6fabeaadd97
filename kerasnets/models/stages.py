"""The stages of a model: which layer is of which, and the words for how deep something reaches. Imports no Keras."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from kerasnets.errors import UserError, nearest

STEM, BACKBONE, HEAD = "stem", "backbone", "head"
_MOST = 12
"""Names that an error lists."""


@dataclass(frozen=True)
class Stages:
    """Names with which the names of layers begin, in order of depth: `conv2` is the stage of `conv2_block1_1_conv`.

    Attributes:
        stem: what comes before the first stage.
        body: the stages.
        heads: the logits layers.
    """

    stem: tuple[str, ...]
    body: tuple[str, ...]
    heads: tuple[str, ...]

    @classmethod
    def of_layers(cls, layers: Iterable[str], head: str) -> Self:
        """Return the stages of a network of which nothing is known but its layers: each is one.

        Args:
            layers: names of layers with weights, in order of depth, the head among them.
            head: the logits layer; where it has no weights, the last that has takes its place.
        """
        *body, last = dict.fromkeys(layers)
        return cls(tuple(body[:1]), tuple(body[1:]), (head,) if last == head else (last, head))

    @property
    def names(self) -> tuple[str, ...]:
        """Return stem and stages, without the heads: the backbone."""
        return self.stem + self.body

    def of(self, path: str) -> str:
        """Return the stage of a variable (`conv2_block1_1_conv/kernel`) or layer; `head` for those of all heads.

        What comes after the last stage and before the head, as the last normalisation of a pre-activation ResNet, is of
        the last stage.
        """
        layer = path.partition("/")[0]
        if layer in self.names:
            return layer
        if _longest(layer, self.heads) is not None:
            return HEAD
        return _longest(layer, self.names) or self.names[-1]

    def up_to(self, word: str) -> tuple[str, ...]:
        """Return the stages that `model.freeze=word` freezes.

        Args:
            word: `none`, `stem`, the name of a stage, which is the last, or `backbone`: all but the heads.

        Raises:
            UserError: it is none of these.
        """
        reaches = {"none": 0, STEM: len(self.stem), BACKBONE: len(self.names)}
        reaches |= {name: place for place, name in enumerate(self.names, start=1)}
        if word not in reaches:
            hint = nearest(word, reaches)
            allowed = f"none, stem, a stage ({_some(self.names)}) or backbone, which is all but the head"
            raise UserError(f"model.freeze is {word!r}; allowed: {allowed}{hint}")
        return self.names[: reaches[word]]

    def rates(self, multipliers: Mapping[str, float], decay: float = 1.0) -> dict[str, float]:
        """Return by what the learning rate of each stage is multiplied; of the head too, as `head`.

        Args:
            multipliers: of stages whose names begin so (`inception_4` is `inception_4a` to `inception_4e`), of `stem`
                and of `head`; the longest that fits counts.
            decay: what any other stage's is of that of the stage after it; the head's is 1 (Howard, Ruder 2018).

        Raises:
            UserError: a name is the beginning of no stage.
        """
        found = {name: decay**steps for steps, name in enumerate((HEAD, *reversed(self.names)))}
        for word in sorted(multipliers, key=lambda word: (word != STEM, len(word))):
            meant = self.stem if word == STEM else [name for name in (*self.names, HEAD) if _begins(name, word)]
            if not meant:
                names = (STEM, *self.names, HEAD)
                hint = nearest(word, names) or f"; allowed: {_some(names)}, or how some of these begin"
                raise UserError(f"training.layer_multipliers names '{word}', which is no stage of the model{hint}")
            found |= dict.fromkeys(meant, multipliers[word])
        return {name: found[name] for name in (*self.names, HEAD)}


def _begins(name: str, word: str) -> bool:
    """Tell whether a stage's name begins with a word that does not end within a number."""
    rest = name.removeprefix(word)
    return bool(word) and name.startswith(word) and not (word[-1].isdigit() and rest[:1].isdigit())


def _longest(layer: str, names: tuple[str, ...]) -> str | None:
    fitting = [name for name in names if layer == name or layer.startswith(f"{name}_")]
    return max(fitting, key=len, default=None)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= _MOST else (*names[: _MOST - 1], "…", names[-1]))

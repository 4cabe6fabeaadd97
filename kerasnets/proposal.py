"""`kerasnets init`: look at images, propose a config with a reason for each setting. Imports no TensorFlow."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from kerasnets import config as configs
from kerasnets.config import Data
from kerasnets.console import emit_json, out
from kerasnets.data import sources
from kerasnets.data.survey import Facts, look, source_of
from kerasnets.errors import UserError

_SIZES = ((48, 32), (96, 64), (192, 128))  # median shorter side below -> image size; else 224
_SMALL = 64  # pixels: models for small images up to here
_MANY = 20_000  # images
_FEW = 500
_IMBALANCE = 3.0
_VISITS = {True: 1_500_000, False: 100_000}  # images seen in a training run: of small images, of large ones


@dataclass(frozen=True)
class Setting:
    """A line of the config: dotted key, value, and why."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Proposal:
    """What was seen, and the settings that follow."""

    name: str
    facts: Facts
    settings: tuple[Setting, ...]

    def yaml(self) -> str:
        """Return the config as YAML, each setting with its reason."""
        tree: dict[str, Any] = {}
        for setting in self.settings:
            *sections, last = setting.key.split(".")
            node = tree
            for section in sections:
                node = node.setdefault(section, {})
            node[last] = setting
        head = [f"# {line}" for line in (f"Proposed by `kerasnets init` for {self.name}.", *self.facts.words())]
        return "\n".join([*head, f"name: {self.name}", *_lines(tree, 0)]) + "\n"


def _lines(tree: dict[str, Any], depth: int) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Setting):
            yield f"{'  ' * depth}{key}: {_scalar(value.value)}".ljust(34) + f"  # {value.reason}"
        else:
            yield f"{'  ' * depth}{key}:"
            yield from _lines(value, depth + 1)


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_./][\w./-]*", value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def propose(path: Path, gpu: bool = False) -> Proposal:
    """Look at images and propose a config.

    Args:
        path: A folder of images, of IDX files, or a .csv or .npz file.
        gpu: Whether training will have one.

    Raises:
        UserError: There are no images, or they are not in at least two classes.
    """
    source = source_of(path)
    examples = sources.read(Data(source=source, path=path))
    facts = look(source, examples)
    name = (
        re.sub(r"[^\w.-]+", "-", path.resolve().stem if path.is_file() else path.resolve().name).strip("-.") or "images"
    )
    settings = (*_model(facts, gpu), *_data(path, facts), *_training(facts, gpu))
    return Proposal(name, facts, settings)


def _image_size(facts: Facts) -> tuple[int, str]:
    if facts.source in ("idx", "npz") and facts.side >= 16:
        return facts.side, "the images' own size"
    if facts.side < 16:
        return 2 * max(facts.side, 8), "twice the images' own: a network of three stages needs room"
    size = next((size for below, size in _SIZES if facts.side < below), 224)
    return size, f"the usual size next to the median shorter side, {facts.side} pixels"


def _model(facts: Facts, gpu: bool) -> list[Setting]:
    size, count = _image_size(facts)[0], facts.training
    if size <= 32 and count < _FEW:
        return [Setting("model.name", "lenet5", f"{count} small images: more weights would learn them by heart")]
    if size <= _SMALL:
        return [Setting("model.name", "resnet20", f"made for images of about 32 pixels; {count:,} of {size}")]
    if count >= _MANY:
        name, why = (
            ("resnet50", "a GPU is there") if gpu else ("googlenet_bn", "without a GPU: 1.6 G operations an image")
        )
        return [Setting("model.name", name, f"{count:,} images carry a deep network; {why}")]
    return [Setting("model.name", "resnet18", f"the smallest for large images; {count:,} of them")]


def _data(path: Path, facts: Facts) -> list[Setting]:
    size, why = _image_size(facts)
    settings = [
        Setting("data.source", facts.source, "what was found there"),
        Setting("data.path", str(path), "relative to where kerasnets is started"),
        Setting("data.image_size", size, why),
        Setting("data.channels", facts.channels, "all grey" if facts.channels == 1 else "colours"),
    ]
    if "validation" not in facts.images:
        settings.append(Setting("data.validation_split", 0.2, "there is no validation split; a fifth of each class"))
    if facts.long > 0.25:
        why = f"{facts.long:.0%} of the images are more than twice as long as wide: a crop would lose their ends"
        settings.append(Setting("data.resize", "pad", why))
    return [*settings, *_augment(facts, size)]


def _augment(facts: Facts, size: int) -> list[Setting]:
    if size > _SMALL:
        window = {"scale": [0.35, 1.0]}
        settings = [Setting("data.augment.random_resized_crop", window, "photographs: other framings of each image")]
    else:
        pad = max(size // 8, 1)
        settings = [Setting("data.augment.pad_crop", pad, f"moves by up to {pad} pixels, an eighth of the size")]
    if facts.channels == 3:
        settings.append(Setting("data.augment.flip", True, "mirrored colour images stay what they are; text does not"))
    return settings


def _training(facts: Facts, gpu: bool) -> list[Setting]:
    size, count = _image_size(facts)[0], facts.training
    batch = 128 if size <= _SMALL else 64 if gpu else 32
    while batch > 8 and count // batch < 10:
        batch //= 2
    visits = _VISITS[size <= _SMALL]
    epochs = int(np.clip(visits // count, 15, 100))
    least, most = min(facts.classes.values()), max(facts.classes.values())
    settings = [
        Setting("training.epochs", epochs, f"about {epochs * count:,} images seen"),
        Setting("training.batch_size", batch, "at least ten steps an epoch, and not more than memory likes"),
        *_optimizer(facts, gpu, batch),
    ]
    if most > _IMBALANCE * least:
        why = f"classes of {least:,} to {most:,} images: each counts the same in the loss"
        settings.append(Setting("training.class_weights", "balanced", why))
    return settings


def _optimizer(facts: Facts, gpu: bool, batch: int) -> list[Setting]:
    if _model(facts, gpu)[0].value == "lenet5":
        return [
            Setting("training.optimizer", "adam", "finds its own step sizes"),
            Setting("training.learning_rate", 0.001, "Adam's usual"),
        ]
    rate = round(0.1 * batch / 128, 5)
    return [
        Setting("training.optimizer", "sgd", "with momentum, as the papers trained"),
        Setting("training.nesterov", True, "a little better at the same price"),
        Setting("training.learning_rate", rate, f"0.1 for 128 images a step, so {rate:g} for {batch}"),
        Setting("training.weight_decay", 5e-4, "usual for batch-normalised networks trained from scratch"),
        Setting("training.schedule", "one_cycle", "warms up, then falls to 0: good in few epochs"),
    ]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="The config's file; default <folder's name>.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def init(folder: Path, output: Path | None, as_json: bool) -> None:
    """Look at FOLDER (images in a folder per class; or a .csv, .npz or MNIST's files) and write a config for it."""
    proposal = propose(folder, gpu=Path("/proc/driver/nvidia/gpus").is_dir())
    path = output or Path(f"{proposal.name}.yaml")
    text = proposal.yaml()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"{path} is there already; remove it, or give another name with --output") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    configs.load(path)
    if as_json:
        settings = [asdict(setting) for setting in proposal.settings]
        emit_json({"schema": 1, "config": str(path), "facts": asdict(proposal.facts), "settings": settings})
        return
    for line in proposal.facts.words():
        out.print(line, markup=False)
    out.print()
    for setting in proposal.settings:
        out.print(f"  {setting.key} = {_scalar(setting.value)}".ljust(44) + f" {setting.reason}", markup=False)
    out.print(f"\nwrote {path}; next:", markup=False)
    out.print(f"  kerasnets train {path} --dry-run\n  kerasnets train {path}", markup=False)

"""Words `key=value` to try: of those a rule proposes, the ones that the run's own config takes and that change it."""

from kerasnets import config as configs
from kerasnets.config import Config
from kerasnets.errors import UserError


def valid(config: Config, *words: str) -> tuple[str, ...]:
    """Return the words that can be laid over `config`, one upon the other, and make a difference.

    A rule proposes for all models; a plain LeNet has no `model.residual`, and with batch normalisation in place,
    `model.normalization=batch` would change nothing. What options of the user's own model mean is not known.
    """
    kept: list[str] = []
    for word in words:
        if config.model.own and word.startswith("model."):
            continue
        try:
            changed = configs.override(config, [*kept, word])
        except UserError:
            continue
        if changed != (configs.override(config, kept) if kept else config):
            kept.append(word)
    return tuple(kept)


def rate(config: Config, factor: float) -> str:
    """Return the word that multiplies the learning rate."""
    return f"training.learning_rate={config.training.rate * factor:.3g}"


def clip(config: Config) -> str:
    """Return the word that clips the gradients, or halves the bound that clips them already."""
    training = config.training
    for name in ("clip_value", "clip_norm", "clip_global_norm"):
        bound = getattr(training, name)
        if bound is not None:
            return f"training.{name}={bound / 2:.3g}"
    return "training.clip_global_norm=1"


def unclip(config: Config) -> tuple[str, ...]:
    """Return the word that takes off what clips the gradients, if anything does."""
    training = config.training
    names = ("clip_value", "clip_norm", "clip_global_norm")
    return tuple(f"training.{name}=none" for name in names if getattr(training, name) is not None)


def initializer(config: Config) -> str:
    """Return the word that initialises for the activation: He's for rectifiers, LeCun's for SELU, Glorot's else."""
    activation = config.model.options.get("activation")
    if activation == "selu":
        return "model.initializer=lecun_normal"
    saturating = activation in ("sigmoid", "tanh", "softsign")
    return f"model.initializer={'glorot_uniform' if saturating else 'he_normal'}"


def wider(config: Config) -> tuple[str, ...]:
    """Return the words that double the channels of a model whose channels are an option."""
    options = config.model.options
    found = []
    if "widths" in options:
        found.append(f"model.widths=[{', '.join(str(2 * width) for width in options['widths'])}]")
    if "width" in options:
        found.append(f"model.width={2 * options['width']:g}")
    return tuple(found)


def longer(config: Config) -> str:
    """Return the word that doubles the epochs."""
    return f"training.epochs={2 * config.training.epochs}"

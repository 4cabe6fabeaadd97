"""Sentences that stand in a picture under its title: what boxes leave out."""

from kerasnets.models.complexity import Complexity
from kerasnets.models.specs import GoogLeNetOptions, LeNetOptions, Options, ResNetOptions, Row
from kerasnets.models.table import giga


def notes(row: Row, options: Options, cost: Complexity) -> list[str]:
    """Return the sentences of a model, built with resolved options, in which `cost` counts all heads."""
    auxiliary = isinstance(options, GoogLeNetOptions) and options.auxiliary
    heads = " with all heads" if auxiliary else ""
    costs = f"{cost.trainable:,} parameters and {giga(cost.macs)} MACs an image{heads}."
    found = [f"{row.source}. {costs}", _after(options)]
    if isinstance(options, GoogLeNetOptions) and auxiliary:
        found.append(f"The auxiliary heads' losses have weight {options.auxiliary_weight:g}; they are not served.")
    return found


def _after(options: Options) -> str:
    """Say what follows convolutions, and where it precedes them."""
    follow = f"{'batch normalisation and ' * (options.normalization == 'batch')}{options.activation}"
    if isinstance(options, LeNetOptions):
        return f"{follow.capitalize()} after each convolution; {options.activation} after dense layers but the last."
    if not isinstance(options, ResNetOptions) or not (options.residual or options.pre_activation):
        return f"{follow.capitalize()} after each convolution."
    if options.pre_activation:
        what = "sums stay as they are" if options.residual else "nothing follows the last"
        return f"In blocks, {follow} before each convolution; {what}."
    if options.normalization == "none":
        return f"{options.activation.capitalize()} after each convolution, of a block's last after the sum."
    return f"{follow.capitalize()} after each convolution; {options.activation} of a block's last comes after the sum."

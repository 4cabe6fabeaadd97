"""Rules that compare training with validation."""

import math

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import longer, rate, valid, wider
from kerasnets.doctor.rule import Rule, Thresholds


def _step(evidence: Evidence, epoch: int) -> int | None:
    return epoch * evidence.layers.steps_per_epoch if evidence.layers else None


def _overfitting(evidence: Evidence, at: Thresholds) -> Finding | None:
    if evidence.epochs < at["epochs"]:
        return None
    history, loss = evidence.history, evidence.loss
    last = slice(-int(at["last"]), None)
    accuracy, held_out = float(history["accuracy"][last].mean()), float(history["val_accuracy"][last].mean())
    train_loss, val_loss = float(loss[last].mean()), float(history["val_loss"][last].mean())
    gap, excess = accuracy - held_out, val_loss - train_loss
    if gap < at["gap"] or excess < at["loss_gap"] or accuracy < at["accuracy"]:
        return None
    gaps = history["accuracy"] - history["val_accuracy"]
    epoch = int(history["epoch"][int((gaps >= at["gap"]).argmax())])
    images = sum(evidence.counts.values())
    return Finding(
        "overfitting",
        f"accuracy is {accuracy:.1%} in training and {held_out:.1%} in validation, the loss {train_loss:.3f} and "
        f"{val_loss:.3f}" + (f"; there are {images:,} training images" if images else ""),
        "The network learns the training images by heart: there are too few of them, or too alike, for what it can "
        "remember. More images help most; augmentation, regularisation or a smaller network come next.",
        {"accuracy": accuracy, "val_accuracy": held_out, "loss": train_loss, "val_loss": val_loss, "images": images},
        valid(evidence.config, *_regularize(evidence)),
        "warning",
        (),
        _step(evidence, epoch),
    )


def _regularize(evidence: Evidence) -> tuple[str, ...]:
    data, training = evidence.config.data, evidence.config.training
    size = min(data.image_size or (224, 224))
    found = []
    if not data.augment.pad_crop and data.augment.random_resized_crop is None:
        found.append(f"data.augment.pad_crop={max(1, size // 8)}")
    if training.weight_decay < 5e-4:
        found.append("training.weight_decay=0.0005")
    if evidence.options.get("dropout", 0.0) < 0.3:
        found.append("model.dropout=0.3")
    return *found, f"training.label_smoothing={0.1 if training.label_smoothing < 0.1 else 0.2}"


def _overtraining(evidence: Evidence, at: Thresholds) -> Finding | None:
    if evidence.epochs < at["epochs"]:
        return None
    losses = evidence.history["val_loss"]
    if not np.isfinite(losses).all():
        return None
    best = int(losses.argmin())
    end = float(np.median(losses[-3:]))
    rise = end - float(losses[best])
    if len(losses) - 1 - best < at["epochs_since"] or rise < at["rise"] or end < at["factor"] * losses[best]:
        return None
    if evidence.loss[-1] >= evidence.loss[best]:
        return None
    return Finding(
        "overtraining",
        f"the validation loss was {losses[best]:.3f} after epoch {best + 1} and is {end:.3f} after epoch "
        f"{len(losses)}, while the training loss fell from {evidence.loss[best]:.3f} to {evidence.loss[-1]:.3f}",
        "From that epoch on, training has only made the network surer of its mistakes. The best weights are those "
        "saved on the way, if validation is what picks them.",
        {"best_epoch": best + 1, "lowest": float(losses[best]), "end": end},
        valid(
            evidence.config,
            f"training.early_stopping={max(3, evidence.epochs // 5)}",
            "training.monitor=loss",
            *_regularize(evidence),
        ),
        "warning",
        (),
        _step(evidence, best + 1),
    )


def _underfitting(evidence: Evidence, at: Thresholds) -> Finding | None:
    if evidence.epochs < at["epochs"] or evidence.updates < at["steps"] or not math.isfinite(evidence.chance):
        return None
    last = slice(-3, None)
    # Smoothed or mixed labels raise the training loss, validation has plain ones: the lower of the two counts.
    train, held_out = float(evidence.loss[last].min()), float(evidence.history["val_loss"][last].min())
    left = min(train, held_out) / evidence.chance
    accuracy = float(evidence.history["accuracy"][last].max())
    if not (left >= at["left"] and accuracy <= at["accuracy"]):
        return None
    return Finding(
        "underfitting",
        f"after {evidence.epochs} epochs the training loss is {train:.3f}, {left:.0%} of what it is at chance "
        f"({evidence.chance:.3f}); accuracy is {accuracy:.1%} in training and "
        f"{evidence.history['val_accuracy'][-1]:.1%} in validation",
        "The network has learnt something and then no more, on the training images too: it is too small, too strongly "
        "regularised, or was given too few steps. Validation being no worse says that more capacity is safe.",
        {"loss": train, "val_loss": held_out, "chance": evidence.chance, "left": left, "accuracy": accuracy},
        valid(evidence.config, *wider(evidence.config), longer(evidence.config), *_relax(evidence)),
        "warning",
        (),
        _step(evidence, evidence.epochs),
    )


def _relax(evidence: Evidence) -> tuple[str, ...]:
    words = ["model.dropout=0"]
    if evidence.config.training.weight_decay > 1e-4:
        words.append(f"training.weight_decay={evidence.config.training.weight_decay / 10:.3g}")
    return *words, "data.augment.mixup=0", "data.augment.cutmix=0"


def _uninformative(evidence: Evidence, at: Thresholds) -> Finding | None:
    if evidence.epochs < at["epochs"] or evidence.updates < at["steps"]:
        return None
    numbers = np.array(list(evidence.counts.values()), float)
    majority = float(numbers.max() / numbers.sum())
    best = float(np.nanmax(evidence.history["val_accuracy"]))
    if best > majority + max(at["margin"], at["share_of_rest"] * (1 - majority)):
        return None
    first, last = float(evidence.loss[0]), float(evidence.loss[-1])
    learnt = last < 0.8 * evidence.chance
    seen = "is learnt by heart" if learnt else "does not fall either"
    return Finding(
        "uninformative_labels",
        f"validation accuracy never exceeds {best:.1%}, and always naming the most frequent class gives "
        f"{majority:.1%}; the training loss {seen} ({first:.3f} to {last:.3f})",
        "Nothing that can be learnt from the training images' labels holds for the validation images. The labels are "
        "shuffled or misaligned with their images (`kerasnets samples` writes some), or steps are too large to learn "
        "any.",
        {"val_accuracy": best, "majority": majority, "first_loss": first, "last_loss": last},
        valid(evidence.config, rate(evidence.config, 0.1)),
        "error",
        (),
        _step(evidence, evidence.epochs),
    )


OVERFITTING = Rule(
    "overfitting",
    "accuracy and loss in training and validation, mean of the last epochs",
    {"gap": 0.15, "loss_gap": 0.45, "accuracy": 0.6, "epochs": 3, "last": 2},
    "Well trained networks lie a few points apart (5 % error on CIFAR-10 beside 0 % in training), and up to 10 on "
    "5,000 images; 15 points, with a loss that says the same, is learning by heart.",
    ("validation",),
    _overfitting,
    plots.epochs("accuracy"),
    explains=("overtraining", "confused_classes"),
    live=True,
    live_from=0.5,
)
OVERTRAINING = Rule(
    "overtraining",
    "the lowest validation loss and the last ones, and whether training went on to fall",
    {"rise": 0.15, "factor": 1.3, "epochs_since": 3, "epochs": 5},
    "Validation loss wavers by a tenth from epoch to epoch; a third more than its lowest, for epochs, is a trend.",
    ("validation",),
    _overtraining,
    plots.epochs("loss"),
    at_end=True,
)
UNDERFITTING = Rule(
    "underfitting",
    "the lower of training and validation loss at the end, beside the loss at chance",
    {"left": 0.4, "accuracy": 0.85, "epochs": 3, "steps": 100},
    "ResNet-18 on ImageNet ends at a quarter of chance, CIFAR and digits networks below a tenth; two fifths is a "
    "network that gave up.",
    ("validation", "counts"),
    _underfitting,
    plots.epochs("loss"),
    explains=("confused_classes",),
    at_end=True,
)
UNINFORMATIVE = Rule(
    "uninformative_labels",
    "the best validation accuracy, beside the share of the most frequent class",
    {"margin": 0.03, "share_of_rest": 0.05, "epochs": 3, "steps": 100},
    "One part in twenty of what is left to learn is the least that counts, three points at any rate.",
    ("validation", "counts"),
    _uninformative,
    plots.epochs("accuracy"),
    explains=("plateau_then_fall", "overtraining", "underfitting", "confused_classes"),
    at_end=True,
)

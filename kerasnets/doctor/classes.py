"""Rules on classes: how many images each has, and which the network does not know."""

from collections import Counter

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import valid
from kerasnets.doctor.rule import Rule, Thresholds


def _imbalance(evidence: Evidence, at: Thresholds) -> Finding | None:
    counts = evidence.counts
    if evidence.config.training.class_weights is not None or not counts:
        return None
    most = max(counts, key=lambda name: counts[name])
    rare = tuple(name for name, count in counts.items() if counts[most] >= at["ratio"] * count)
    if not rare:
        return None
    least = min(rare, key=lambda name: counts[name])
    ratio = counts[most] / max(1, counts[least])
    return Finding(
        "class_imbalance",
        f"class '{most}' has {counts[most]:,} training images, '{least}' {counts[least]:,}: {ratio:.0f} times as many",
        "The loss is a mean over images, so a class with few of them counts for little and is learnt last. Accuracy "
        "hides it, since validation has the same proportions.",
        {"most": counts[most], "least": counts[least], "ratio": ratio, "rare_classes": len(rare)},
        valid(evidence.config, "training.class_weights=balanced"),
        "warning",
        rare,
        None,
    )


def _confused(evidence: Evidence, at: Thresholds) -> Finding | None:
    total, right, wrong = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for (label, predicted), count in evidence.confusion.items():
        total[label] += count
        if label == predicted:
            right[label] += count
        else:
            wrong[label, predicted] += count
    accuracy = sum(right.values()) / sum(total.values())
    lost = [name for name, count in total.items() if count >= at["images"] and right[name] < at["recall"] * count]
    if accuracy < at["accuracy"] or not lost:
        return None
    worst = min(lost, key=lambda name: right[name] / total[name])
    taken = max((pair for pair in wrong if pair[0] == worst), key=lambda pair: wrong[pair])[1]
    return Finding(
        "confused_classes",
        f"{right[worst]} of {total[worst]} validation images of '{worst}' are recognised, while {accuracy:.1%} of all "
        f"are; {wrong[worst, taken]} are taken for '{taken}'",
        "These classes look alike at this resolution, or images of one bear the other's label. Look at the images "
        "first; weights for the classes help only where one is rare.",
        {"recall": right[worst] / total[worst], "accuracy": accuracy, "classes": len(lost)},
        valid(evidence.config, "training.class_weights=balanced", *_larger(evidence)),
        "warning",
        tuple(lost),
        None,
    )


def _larger(evidence: Evidence) -> tuple[str, ...]:
    size = evidence.config.data.image_size
    return (f"data.image_size=[{2 * size[0]}, {2 * size[1]}]",) if size else ()


def _draw_recall(axes: "plots.Axes", evidence: Evidence, finding: Finding) -> None:
    total, right = Counter[str](), Counter[str]()
    for (label, predicted), count in evidence.confusion.items():
        total[label] += count
        right[label] += count * (label == predicted)
    plots.bars(axes, {name: right[name] / total[name] for name in sorted(total)}, finding.layers, "recall")


IMBALANCE = Rule(
    "class_imbalance",
    "number of training images of each class, where training.class_weights is not set",
    {"ratio": 10.0},
    "SageMaker Debugger's ClassImbalance takes 10 too; below that, networks learn the rare classes nearly as well.",
    ("counts",),
    _imbalance,
    plots.class_counts,
    explains=("confused_classes",),
    live=True,
)
CONFUSED = Rule(
    "confused_classes",
    "recall of each class with at least 20 validation images, where accuracy is at least 60 %",
    {"recall": 0.25, "images": 20, "accuracy": 0.6},
    "A class of which three in four images are taken for others is not a matter of hard cases.",
    ("predictions",),
    _confused,
    _draw_recall,
    at_end=True,
)

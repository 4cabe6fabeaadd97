"""Rule on batch normalisation: the same batch in training and in inference mode."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import valid
from kerasnets.doctor.rule import Rule, Thresholds


def _gap(evidence: Evidence, at: Thresholds) -> Finding | None:
    steps = evidence.steps
    if steps is None or evidence.options.get("normalization", "batch") != "batch":
        return None
    seen = np.isfinite(steps.inference_loss) & np.isfinite(steps.loss) & (steps.step >= at["step"])
    late = seen & (steps.step >= steps.step[-1] / 2)
    if not late.any():
        return None
    excess = float(np.median(steps.inference_loss[late] - steps.loss[late]))
    factor = float(np.median(steps.inference_loss[late] / np.maximum(steps.loss[late], 1e-6)))
    if excess < at["excess"] or factor < at["factor"]:
        return None
    lost = (steps.inference_loss - steps.loss >= at["excess"]) & seen
    momentum = evidence.options.get("bn_momentum")  # None: a model of the user's own
    batch = evidence.config.training.batch
    words = () if momentum is None else ("model.bn_momentum=0.9",) if momentum > 0.9 else ("model.bn_momentum=0.99",)
    known = {} if momentum is None else {"momentum": momentum}
    batches = (
        "the batches have" if momentum is None else f"the moving statistics have momentum {momentum:g}, the batches"
    )
    return Finding(
        "batch_normalization_gap",
        f"the same batches have a loss {excess:.3g} higher in inference mode than in training ({factor:.1f} times; "
        f"median of {late.sum()} samples); {batches} {batch} images",
        "The moving statistics that inference uses are not those that training normalises with: their momentum is so "
        "high that they lag behind, or batches are so small or so unlike that they differ. Validation and the exported "
        "model suffer, training does not notice.",
        {"excess": excess, "factor": factor, "samples": int(late.sum()), **known, "batch_size": batch},
        valid(evidence.config, *words, *((f"training.batch_size={2 * batch}",) if batch < 32 else ())),
        "error",
        (),
        int(steps.step[np.flatnonzero(lost)[0]]),
    )


GAP = Rule(
    "batch_normalization_gap",
    "loss of the same batch and weights in training and in inference mode, in the second half of the run so far",
    {"excess": 0.25, "factor": 2.0, "step": 200},
    "In healthy runs the two modes differ by 0.01 at most once the moving statistics have settled. Before step 200 "
    "they may well lag.",
    ("inference_loss",),
    _gap,
    plots.over_steps(),
    explains=("overfitting", "overtraining", "uninformative_labels", "confused_classes"),
    live=True,
    live_from=0.5,
)

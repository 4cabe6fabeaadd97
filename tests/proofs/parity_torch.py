"""The real torchvision and timm models, with drawn weights, and what they compute. Runs where torch is installed."""

from typing import Any, NamedTuple

import numpy as np
import torch
from drawn_weights import AUXILIARY_WEIGHT, drawn

OPERATORS = ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
BACKWARD = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
IMAGENET = np.array([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)])


def import_torchvision() -> None:
    """Import torchvision over a torch that it was not built for: its operators, which no classifier has, get names.

    Where torchvision finds its own operators they are there already, and nothing is done.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in (*OPERATORS, *(f"_{name}_backward" for name in BACKWARD)):
            library.define(f"{name}(Tensor x) -> Tensor")
        KEPT.append(library)
        import torchvision  # noqa: F401


KEPT: list[Any] = []
"""A library's operators go when it does."""


class Theirs(NamedTuple):
    """What the real model gives, in its own names and layouts."""

    inference: np.ndarray
    outputs: list[np.ndarray]  # auxiliary heads first
    loss: float
    gradients: dict[str, np.ndarray]
    moving: dict[str, np.ndarray]


def build(library: str, name: str, classes: int) -> torch.nn.Module:
    """Return the model with drawn weights, without dropout."""
    if library == "timm":
        import timm

        model = timm.create_model(name, num_classes=classes)
    else:
        import torchvision

        options: dict[str, Any] = {"num_classes": classes}
        if name == "googlenet":
            options |= {"init_weights": False, "transform_input": True, "dropout": 0.0, "dropout_aux": 0.0}
        model = getattr(torchvision.models, name)(**options)
    state = model.state_dict()
    weights = {key: torch.from_numpy(drawn(key, tuple(value.shape))) for key, value in state.items() if value.ndim}
    model.load_state_dict(state | weights, strict=True)
    return model


def inputs(images: np.ndarray, transforms: bool, precision: str = "float32") -> torch.Tensor:
    """Return images channels first; a model that transforms its input gets what it will transform into them."""
    if transforms:
        mean, std = IMAGENET
        images = (images * 0.5 + 0.5 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2), precision))


def compute(model: torch.nn.Module, images: torch.Tensor, labels: np.ndarray) -> Theirs:
    """Run the model in inference, then one step of training without an optimizer."""
    model.eval()
    with torch.no_grad():
        inference = model(images).numpy()
    model.train()
    found = model(images)
    outputs = [found] if isinstance(found, torch.Tensor) else [found.aux_logits1, found.aux_logits2, found.logits]
    *lower, main = (torch.nn.functional.cross_entropy(one, torch.from_numpy(labels)) for one in outputs)
    loss = main + AUXILIARY_WEIGHT * sum(lower)
    loss.backward()
    return Theirs(
        inference,
        [one.detach().numpy() for one in outputs],
        loss.item(),
        {key: value.grad.numpy() for key, value in model.named_parameters()},
        {key: value.numpy() for key, value in model.named_buffers() if "running" in key},
    )

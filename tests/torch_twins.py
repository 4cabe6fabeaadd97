"""The PyTorch definitions of the benchmark against ours: the same weights, the same logits. Needs torch."""

import re

import keras
import numpy as np
import torch

from kerasnets import models
from kerasnets.benchmark.train import torch_models
from kerasnets.models import specs

OF_A_BRANCH = {"one": "1x1", "reduce3": "3x3_reduce", "three": "3x3", "reduce5": "5x5_reduce", "five": "5x5"}
PARTS = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}
HEADS = {"auxiliary.4a": "softmax0", "auxiliary.4d": "softmax1"}


def ours_of(name: str) -> str:
    """Return our layer's name of a module of the definition."""
    if name == "logits":
        return "softmax2"
    for place, head in HEADS.items():
        if name.startswith(place):
            inner = name.removeprefix(f"{place}.")
            return {"logits": head, "fc": f"{head}_fc"}.get(inner, f"{head}_{inner.removeprefix('reduce.')}")
    found = re.fullmatch(r"inception\.(\w+)\.(\w+)\.(\w+)", name)
    if found is not None:
        module, branch, layer = found.groups()
        return f"inception_{module}_{OF_A_BRANCH.get(branch, 'pool_proj')}_{layer}"
    return name.replace("stages.", "").replace("body.", "").replace("shortcut.", "0.").replace(".", "_")


def carry_over(plain: keras.Model, network: torch.nn.Module) -> int:
    """Give the network our weights, each variable once; return how many numbers are trained."""
    values = {variable.path: np.asarray(variable) for variable in plain.weights}
    state = {}
    for key, tensor in network.state_dict().items():
        module, part = key.rsplit(".", 1)
        if part == "num_batches_tracked":
            continue
        layer = ours_of(module)
        (path,) = {f"{layer}/{name}" for name in PARTS[part]} & values.keys()
        value = values.pop(path)
        if value.ndim == 4:
            value = value.transpose(3, 2, 0, 1)
        elif value.ndim == 2:
            if layer.endswith("_fc"):  # flattened [4, 4, 128] there, [128, 4, 4] here
                value = value.reshape(4, 4, 128, -1).transpose(2, 0, 1, 3).reshape(value.shape)
            value = value.T
        state[key] = torch.from_numpy(np.ascontiguousarray(value))
        assert state[key].shape == tensor.shape
    assert not values
    network.load_state_dict(state, strict=False)
    return sum(parameter.numel() for parameter in network.parameters())


def difference(name: str) -> float:
    """Return the largest difference of the logits in inference, of all heads, relative to the largest logit."""
    plain, network = models.build(name), torch_models.build(name)
    rng = np.random.default_rng(0)
    for variable in plain.weights:  # also what begins as 0 or 1 has to come to the right place
        if len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    assert carry_over(plain, network) == sum(int(np.prod(v.shape)) for v in plain.trainable_weights)
    images = rng.normal(size=(2, *specs.row(name).input_shape)).astype(np.float32)
    ours = plain(images, training=False)
    ours = ours if isinstance(ours, dict) else {"softmax": ours}
    network.eval()
    network.training = len(ours) > 1  # of the outermost module alone: all heads answer, nothing is dropped
    with torch.no_grad():
        theirs = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert set(theirs) == set(ours)
    return max(
        float(np.abs(theirs[head].numpy() - np.asarray(ours[head])).max() / np.abs(np.asarray(ours[head])).max())
        for head in ours
    )

"""The arms that train by a plain PyTorch loop. Needs torch."""

import time

import numpy as np
import torch
from torch.nn import functional

from kerasnets.benchmark.train import torch_models
from kerasnets.benchmark.train.arms import COMPILED, FULL, LEARNING_RATE, MOMENTUM, Task
from kerasnets.models import specs


class Loop:
    """A network and its optimizer on one batch; the attributes are those of `fitting.Fit`, but for `macs`."""

    macs: int | None = None  # PyTorch does not count them; the network is ours, weight for weight

    def __init__(self, task: Task, images: np.ndarray, labels: np.ndarray) -> None:
        self.precision = task.arm.precision
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = torch_models.build(task.network.model).to(self._device, memory_format=torch.channels_last)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self._optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self.precision == "float16")
        self._network = torch.compile(network) if task.arm.kind == COMPILED else network
        # Channels last in memory already, [N, H, W, C] needs no copy to be seen as [N, C, H, W].
        self._images = torch.from_numpy(images).permute(0, 3, 1, 2).to(self._device)
        self._labels = torch.from_numpy(labels.astype(np.int64)).to(self._device)
        self._weights = {head.name: head.loss_weight for head in specs.heads(task.network.model)}

    def steps(self, count: int) -> tuple[float, float]:
        """Do so many steps; return their seconds, and a loss, whose number waits for the device."""
        began = time.perf_counter()
        for _ in range(count):
            loss = self._step()
        value = loss.item()
        return time.perf_counter() - began, value

    def _step(self) -> torch.Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        dtype = None if self.precision == FULL else getattr(torch, self.precision)
        with torch.autocast(self._device.type, dtype, enabled=dtype is not None):
            outputs = self._network(self._images)
            losses = [self._weights[name] * functional.cross_entropy(x, self._labels) for name, x in outputs.items()]
            loss = torch.stack(losses).sum()
        self._scaler.scale(loss).backward()  # but for float16, the loss itself
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return loss.detach()

    def device_peak(self) -> int | None:
        """Return the most memory that the GPU has held, in bytes; None without one."""
        return int(torch.cuda.max_memory_allocated()) if self._device.type == "cuda" else None

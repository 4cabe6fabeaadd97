"""A version behind KServe's `Model`: it is asked, counts the time that each stage takes, and answers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

import numpy as np
from kserve import Model

from kerasnets.serve import encoded
from kerasnets.serve.batching import Batcher
from kerasnets.serve.limits import Limits
from kerasnets.serve.opened import Opened
from kerasnets.serve.question import ENCODED, IMAGE, SORTED, Answer, Question
from kerasnets.serve.refusals import Refused

_Made = TypeVar("_Made")
V2_TYPES = {"float32": "FP32", "uint8": "UINT8", "string": "BYTES", "bool": "BOOL"}
"""As a manifest names data types -> as the Open Inference Protocol does."""


class Served(Model):
    """One version of one model."""

    def __init__(self, opened: Opened, batcher: Batcher, decoders: Executor, limits: Limits) -> None:
        super().__init__(opened.name)
        self.opened, self._batcher, self._decoders, self._limits = opened, batcher, decoders, limits
        self.ready = True

    async def preprocess(self, payload: Question, headers: dict[str, str] | None = None) -> list[np.ndarray]:
        """Return raw pixels: one array of all images, or of each image file one `[1, H, W, C]`."""
        if payload.pixels is not None:
            return [payload.pixels]
        sizes = await self._of_each(payload.encoded, lambda content: encoded.size(content, self._limits.pixels))
        payload.place.take(self.opened.channels * sum(sizes))
        return await self._of_each(payload.encoded, lambda content: encoded.pixels(content, self.opened.channels))

    async def predict(self, payload: list[np.ndarray], headers: dict[str, str] | None = None) -> Answer:
        """Return the artefact's outputs for all images."""
        return await self._batcher(self.opened, payload)

    async def ask(self, question: Question) -> Answer:
        """Return the outputs that are wanted.

        Raises:
            Refused: an image cannot be read, is too large, or there is no room for it now.
        """
        found, _ = await self(question)
        if not np.isfinite(found["probabilities"]).all():
            raise Refused("image holds values that are too large to compute with; pixels are 0 to 255")
        if set(question.outputs) & set(SORTED):
            found = {**found, **self.opened.sorted(found["probabilities"])}
        return {name: found[name] for name in question.outputs}

    def default_outputs(self, of_files: bool) -> tuple[str, ...]:
        """Return the outputs of a request that names none: as the SavedModel's two signatures have them."""
        return (*self.opened.outputs, *SORTED) if of_files else tuple(self.opened.outputs)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the two inputs, of which a request has one, as the Open Inference Protocol describes them."""
        shape = self.opened.feed.shape(self.opened.preprocessing)
        image = {"name": IMAGE, "datatype": V2_TYPES[self.opened.feed.dtype], "shape": _dynamic(shape)}
        return [image, {"name": ENCODED, "datatype": V2_TYPES["string"], "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return all outputs, in the same way."""
        return [
            {"name": name, "datatype": V2_TYPES[output["dtype"]], "shape": _dynamic(output["shape"])}
            for name, output in self.opened.all_outputs.items()
        ]

    async def _of_each(self, files: tuple[bytes, ...], make: Callable[[bytes], _Made]) -> list[_Made]:
        """Return what threads make of each file; no more are begun once one is refused or nobody waits."""
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(self._decoders, make, content) for content in files]
        try:
            return list(await asyncio.gather(*jobs))
        finally:
            for job in jobs:
                job.cancel()


def _dynamic(shape: list[int | None]) -> list[int]:
    return [-1 if size is None else size for size in shape]

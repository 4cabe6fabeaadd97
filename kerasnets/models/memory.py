"""What a training step keeps in memory, predicted from the graph: each tensor from its making to its last use.

The step is that of `kerasnets train` on one device: the forward pass, and the backward pass in the opposite order. A
tensor is held until nothing will read it any more, gradients of weights until the step's end. What gradients read of
the forward pass is as in TensorFlow: a convolution's and a fused batch normalisation's its input, a ReLU's its output,
a pooling's both, an addition's nothing. What may change a tensor in place does.

Assumed are one number more a weight for the optimizer (momentum), unless said otherwise; no accumulation of gradients,
nothing frozen, and a step of which the probe takes no sample. Batches that wait in the input pipeline are not counted.
"""

import itertools
import math
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of a number, by the precision that layers compute in."""
_FULL = BYTES["float32"]
"""Of variables and their gradients."""
_COPIES = 2
"""Of the weights: those of the network that is trained, and of the plain one that is saved."""
_KERNELS, _GRAPH, _LAYER = 2, 50_000_000, 850_000
"""What is not tensors: numbers a weight that kernels hold, and bytes of any graph and of each layer in it. No rule
gives these three; they are fitted to what `make proof-memory` and `make proof-growth` measure."""

_NORMALIZATION = "local response normalisation"
"""The kind of that small model, which is exchanged for one layer while training."""
_KEPT = {"float32": 8, "bfloat16": 4, "float16": 12}
"""Bytes that its gradient reads for each number of its input besides that: two powers of the sum of squares, and these
and the input in float32 where layers compute in float16, which has not the range of squares."""
_INPUTS = frozenset(
    (
        *("Conv2D", "Dense", "BatchNormalization", "LeakyReLU", "PReLU", "Square", "Maximum", "Multiply"),
        _NORMALIZATION,
    )
)
_OUTPUT = frozenset(("relu", "sigmoid", "tanh", "elu", "selu", "Rsqrt", "Sqrt"))
_NEITHER = frozenset(
    (
        *("Add", "Concatenate", "ZeroPadding2D", "Pad", "Flatten", "Reshape", "Split", "Cast", "InputLayer"),
        *("GlobalAveragePooling2D", "AveragePooling2D", "AdaptiveAveragePooling2D", "AveragePool"),
    )
)
"""Which of its tensors the gradient of a layer or operation reads; of those that are in none of these, both."""
_VIEW = frozenset(("Flatten", "Reshape"))
"""Whose output is its input in another shape."""
_SAME = _VIEW | {"Add"}
"""Whose gradient hands on the gradient that it gets."""
_IN_PLACE = frozenset(("Add", "relu", "sigmoid", "tanh", "elu", "selu", "Multiply"))
"""What writes its output over an input that nothing else will read."""


@dataclass(frozen=True)
class Memory:
    """Bytes at the moment when a step holds the most.

    Attributes:
        weights: with the statistics of normalisation; twice, see `_COPIES`.
        optimizer: what it keeps of each weight.
        gradients: of weights, those that are there at that moment.
        activations: tensors of the forward pass.
        transient: gradients of activations on their way back, and what the optimizer computes beforehand.
        graph: what Keras and TensorFlow hold of the network besides tensors: layers, traced graphs, kernels.
    """

    weights: int
    optimizer: int
    gradients: int
    activations: int
    transient: int
    graph: int

    @property
    def step(self) -> int:
        """Return what the step's tensors take."""
        return self.weights + self.optimizer + self.gradients + self.activations + self.transient

    @property
    def total(self) -> int:
        """Return the step's tensors and the graph: by how much a process grows that trains the network."""
        return self.step + self.graph

    def document(self) -> dict[str, int]:
        """Return the JSON of it."""
        return {**asdict(self), "step": self.step, "total": self.total}


@dataclass(eq=False)
class _Buffer:
    """Memory of one or more tensors; free when nothing holds it any more."""

    size: int
    kind: str
    holders: int = 0


@dataclass
class _Operation:
    """A layer, or an operation within one.

    Attributes:
        kind: its class, or an activation's name.
        inputs, outputs: tensors, by number.
        weights: how many numbers it trains.
        saved: what its gradient will read.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: int
    saved: list[_Buffer] = field(default_factory=list)


def predict(model: Any, batch: int, precision: str = "float32", slots: int = 1) -> Memory:
    """Predict the memory of a training step.

    Args:
        model: functional, as `models.build` or `complexity.outline` make it.
        batch: images that go through it at a time.
        precision: what layers compute in, a key of `BYTES`.
        slots: numbers that the optimizer keeps of each weight: 1 with momentum, 2 with Adam.
    """
    numbers, trained = (sum(math.prod(w.shape) for w in kind) for kind in (model.weights, model.trainable_weights))
    most = _Step(model, batch, precision).run()
    return Memory(
        weights=numbers * _FULL * _COPIES,
        optimizer=trained * _FULL * slots,
        gradients=most["gradients"],
        activations=most["activations"],
        transient=most["passing"] + trained * _FULL * _KERNELS,
        graph=_GRAPH + len(model.layers) * _LAYER,
    )


class _Step:
    """The forward and backward pass of a batch, tensor by tensor.

    Args:
        model: functional.
        batch: images.
        precision: what layers compute in, a key of `BYTES`.
    """

    def __init__(self, model: Any, batch: int, precision: str) -> None:
        self._batch, self._number, self._kept = batch, BYTES[precision], _KEPT[precision]
        self._sizes: list[int] = []
        self._operations = list(self._walk(model, {}, self._number))
        self._readers = Counter(tensor for operation in self._operations for tensor in operation.inputs)
        self._learning = self._reached()
        self._held, self._most = Counter[str](), Counter[str]()
        self._buffers: dict[int, _Buffer] = {}
        self._gradients: dict[int, _Buffer] = {}

    def run(self) -> Counter[str]:
        """Return the bytes of each kind when it is the most."""
        for operation in self._operations:
            self._forward(operation)
        for operation in reversed(self._operations):
            self._backward(operation)
        return self._most

    def _walk(self, model: Any, known: dict[int, int], number: int) -> Iterator[_Operation]:
        """Yield the operations of a model, and of models within it, in the order of the graph.

        Args:
            model: functional.
            known: id of a Keras tensor -> its number; beforehand those of the inputs, where it is within another.
            number: bytes of a number in its tensors.
        """
        depths = model._nodes_by_depth
        for node in itertools.chain.from_iterable(depths[depth] for depth in sorted(depths, reverse=True)):
            layer = node.operation  # called once for each node: a layer may be shared
            if all(id(tensor) in known for tensor in node.output_tensors):
                continue  # the input of a model that is within another
            inputs = tuple(known[id(tensor)] for tensor in node.input_tensors)
            if hasattr(layer, "operations") and not _is_normalization(layer):
                outputs = yield from self._within(layer, inputs, number)
            else:
                outputs = tuple(self._numbered(tensor, number) for tensor in node.output_tensors)
                trained = sum(math.prod(w.shape) for w in getattr(layer, "trainable_weights", ()))
                yield _Operation(_kind(layer), inputs, outputs, trained)
            known |= zip(map(id, node.output_tensors), outputs, strict=True)

    def _within(self, model: Any, inputs: tuple[int, ...], number: int) -> Generator[_Operation, None, tuple[int, ...]]:
        """Yield the operations of a model within another, which is in float32 always; return its outputs."""
        if number != _FULL:
            inputs = yield from self._cast(model.inputs, inputs, _FULL)
        inside = dict(zip(map(id, model.inputs), inputs, strict=True))
        yield from self._walk(model, inside, _FULL)
        outputs = tuple(inside[id(tensor)] for tensor in model.outputs)
        return (yield from self._cast(model.outputs, outputs, number)) if number != _FULL else outputs

    def _cast(
        self, tensors: Any, numbered: tuple[int, ...], number: int
    ) -> Generator[_Operation, None, tuple[int, ...]]:
        outputs = tuple(self._numbered(tensor, number) for tensor in tensors)
        for before, after in zip(numbered, outputs, strict=True):
            yield _Operation("Cast", (before,), (after,), 0)
        return outputs

    def _numbered(self, tensor: Any, number: int) -> int:
        self._sizes.append(math.prod(side for side in tensor.shape if side is not None) * self._batch * number)
        return len(self._sizes) - 1

    def _reached(self) -> set[int]:
        """Return the tensors on which the loss depends through weights before them: those that have gradients."""
        found: set[int] = set()
        for operation in self._operations:
            if operation.weights or found.intersection(operation.inputs):
                found.update(operation.outputs)
        return found

    def _forward(self, operation: _Operation) -> None:
        inputs, again = [self._buffers[tensor] for tensor in operation.inputs], _read_again(operation)
        free = inputs if operation.kind in _VIEW else []
        if operation.kind in _IN_PLACE and not set(again).intersection(operation.inputs):
            free = [buffer for buffer in inputs if buffer.holders == 1]
        for tensor in operation.outputs:
            buffer = free[0] if free else self._new(self._sizes[tensor], "activations")
            buffer.holders += self._readers[tensor] or 1  # what nothing here reads is an output, which the loss reads
            self._buffers[tensor] = buffer
        operation.saved = [self._buffers[tensor] for tensor in again]
        for buffer in operation.saved:
            buffer.holders += 1
        for size in self._kept_besides(operation):
            kept = self._new(size, "activations")
            kept.holders = 1
            operation.saved.append(kept)
        for buffer in inputs:
            self._drop(buffer)

    def _kept_besides(self, operation: _Operation) -> list[int]:
        """Return the bytes of what a gradient reads besides inputs and outputs."""
        size = self._sizes[operation.outputs[0]]
        if operation.kind == "MaxPooling2D":  # where each maximum was, a byte each
            return [size // self._number]
        return [size // self._number * self._kept] if operation.kind == _NORMALIZATION else []

    def _backward(self, operation: _Operation) -> None:
        if self._learning.intersection(operation.outputs):
            above = [self._gradients.get(tensor) or self._first(tensor) for tensor in operation.outputs]
            self._held["gradients"] += operation.weights * _FULL
            for tensor in operation.inputs:
                if tensor in self._learning:
                    self._hand_down(operation, above[0], tensor)
            self._look()
            for buffer in above:
                self._drop(buffer)
        for buffer in operation.saved:
            self._drop(buffer)

    def _first(self, tensor: int) -> _Buffer:
        """Return the gradient of an output of the network, which the loss gives."""
        buffer = self._new(self._sizes[tensor], "passing")
        buffer.holders = 1
        return buffer

    def _hand_down(self, operation: _Operation, above: _Buffer, tensor: int) -> None:
        """Make the gradient of an operation's input, and add it to what came from other readers of that tensor."""
        same = operation.kind in _SAME or (operation.kind in _IN_PLACE and above.holders == 1)
        below = above if same else self._new(self._sizes[tensor], "passing")
        below.holders += 1
        other = self._gradients.get(tensor)
        if other is not None:
            self._look()
            summed = next((buffer for buffer in (other, below) if buffer.holders == 1), None)
            summed = summed or self._new(self._sizes[tensor], "passing")
            summed.holders += 1
            self._drop(other)
            self._drop(below)
            below = summed
        self._gradients[tensor] = below

    def _new(self, size: int, kind: str) -> _Buffer:
        self._held[kind] += size
        self._look()
        return _Buffer(size, kind)

    def _drop(self, buffer: _Buffer) -> None:
        buffer.holders -= 1
        if not buffer.holders:
            self._held[buffer.kind] -= buffer.size

    def _look(self) -> None:
        if self._held.total() > self._most.total():
            self._most = self._held.copy()


def _kind(layer: Any) -> str:
    """Return the class of a layer, or what an activation's function is called."""
    if _is_normalization(layer):
        return _NORMALIZATION
    return str(layer.activation.__name__) if type(layer).__name__ == "Activation" else type(layer).__name__


def _is_normalization(layer: Any) -> bool:
    """Tell whether a layer is the small model of `layers.local_response_norm`."""
    inside = {type(operation).__name__ for operation in getattr(layer, "operations", ())}
    return {"Square", "AveragePool", "Rsqrt"} <= inside and not layer.weights


def _read_again(operation: _Operation) -> tuple[int, ...]:
    """Return the tensors that the gradient of an operation reads."""
    kind = operation.kind
    if kind in _NEITHER or (kind == "Multiply" and len(operation.inputs) == 1):  # by a constant
        return ()
    inputs = () if kind in _OUTPUT else operation.inputs
    return inputs if kind in _INPUTS else (*inputs, *operation.outputs)

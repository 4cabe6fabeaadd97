"""`training.precision=auto`: what layers compute in here, found by timing a piece of a network, not by a device's name.

Processors and GPUs differ in whether they have units for bfloat16 (Kalamkar et al. 2019) and float16; without them
TensorFlow computes in float32 and casts, which is slower than float32 alone.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from kerasnets import config as configs
from kerasnets.config import Config
from kerasnets.console import err
from kerasnets.training.distribute import Distribution

PAYS = 1.15
"""How many times as fast as float32 another precision has to be: less would be lost in what stays in float32."""
_WARM_UP, _ROUNDS = 2, 7
_IMAGES = {"CPU": 8, "GPU": 256}
_SIDE, _CHANNELS = 28, 64  # as in the second stage of a ResNet (He et al. 2015, table 1)


@dataclass(frozen=True)
class Choice:
    """What layers compute in, and why."""

    precision: str
    reason: str


def settle(config: Config, distribution: Distribution) -> Config:
    """Return the config with `training.precision=auto` replaced by what pays here, which is printed.

    Of several workers the chief decides; each has to call this. Call it once threads are pinned.
    """
    if config.training.precision != "auto":
        return config
    choice = decide(speeds())
    chosen = distribution.told(choice.precision)
    if chosen == choice.precision:
        err.print(f"training.precision: {chosen}: {choice.reason}", highlight=False)
    else:
        err.print(f"training.precision: {chosen}, as the first worker computes in", highlight=False)
    return configs.update(config, training={"precision": chosen})


def decide(faster: Mapping[str, float]) -> Choice:
    """Return the choice, where `faster` says how many times as fast as float32 the other precisions are.

    bfloat16 comes before float16 where both pay: it has float32's range, and so its losses need no scale.
    """
    found = ", ".join(f"{name} is {speed:.2f} x" for name, speed in faster.items()) + " as fast as float32 here"
    for name in ("bfloat16", "float16"):
        if faster.get(name, 0.0) >= PAYS:
            return Choice(name, found)
    return Choice("float32", f"{found}, and pays from {PAYS:g} x on")


def speeds() -> dict[str, float]:
    """Time a piece of a network in turns; return precision -> how many times as fast as float32 it is (median)."""
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    names = ["float32", "bfloat16", *(["float16"] if device == "GPU" else [])]
    steps = {name: _step(tf.as_dtype(name), _IMAGES[device]) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-_WARM_UP, _ROUNDS):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if number >= 0:
                seconds[name].append(time.perf_counter() - began)
    pairs = {name: zip(seconds["float32"], seconds[name], strict=True) for name in names[1:]}
    return {name: statistics.median(plain / other for plain, other in found) for name, found in pairs.items()}


def _step(dtype: tf.DType, count: int) -> Callable[[], float]:
    """Return a function that does the forward and backward pass of convolution, batch normalisation and ReLU."""
    shape = (count, _SIDE, _SIDE, _CHANNELS)
    images = tf.cast(tf.reshape(tf.range(math.prod(shape)) % 7, shape), dtype)
    kernel = tf.fill((3, 3, _CHANNELS, _CHANNELS), 0.01)
    ones, zeros = tf.ones(_CHANNELS), tf.zeros(_CHANNELS)

    @tf.function(autograph=False, jit_compile=False)
    def step(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            x = tf.nn.conv2d(images, tf.cast(kernel, dtype), 1, "SAME")
            x, *_ = tf.raw_ops.FusedBatchNormV3(
                x=x, scale=ones, offset=zeros, mean=tf.zeros(0), variance=tf.zeros(0), is_training=True
            )
            loss = tf.reduce_sum(tf.cast(tf.nn.relu(x), tf.float32))
        return tf.add_n([tf.reduce_sum(tf.cast(g, tf.float32)) for g in tape.gradient(loss, [images, kernel])])

    return lambda: float(step(images, kernel))  # a number waits for the device

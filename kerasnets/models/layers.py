"""Small pieces of graph with names: convolution, normalisation, activation, LRN, heads. Each is x -> x.

Images are `[N, H, W, C]`. A piece called `conv2_block1_1` names its layers `conv2_block1_1_conv`, `…_bn`, `…_relu`.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from kerasnets.models.specs import Options


def initial(options: Options) -> dict[str, Any]:
    """Return initialisers of its own for each layer: one shared instance would draw the same numbers twice."""
    kernel: Any = options.initializer
    if kernel == "normal":
        kernel = keras.initializers.RandomNormal(stddev=options.initializer_std)
    return {"kernel_initializer": kernel, "bias_initializer": keras.initializers.Constant(options.bias)}


def conv(
    x: Tensor,
    filters: int,
    kernel: int,
    options: Options,
    *,
    name: str,
    strides: int = 1,
    padding: str = "same",
    normalized: bool = False,
) -> Tensor:
    """Convolve; a kernel that strides is padded explicitly and by the same amount on each side, as torchvision does.

    TensorFlow's own `same` would pad a strided kernel on the right and at the bottom first.
    `normalized` says that a normalisation follows directly, which makes a bias superfluous.
    """
    if strides > 1 and kernel > 1:
        x, padding = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"
    bias = options.conv_bias
    if not isinstance(bias, bool):
        bias = not (normalized and options.normalization == "batch")
    layer = layers.Conv2D(filters, kernel, strides, padding, use_bias=bias, **initial(options), name=f"{name}_conv")
    return layer(x)


def norm(x: Tensor, options: Options, *, name: str, gamma: str = "ones") -> Tensor:
    """Normalise by batch statistics (Ioffe and Szegedy 2015), where the options say so."""
    if options.normalization == "none":
        return x
    return layers.BatchNormalization(
        momentum=options.bn_momentum, epsilon=options.bn_epsilon, gamma_initializer=gamma, name=f"{name}_bn"
    )(x)


def unit(x: Tensor, filters: int, kernel: int, options: Options, *, name: str, **how: Any) -> Tensor:
    """Convolution, normalisation, activation; `how` is passed to `conv`. Maxout's two pieces come from the kernel."""
    pieces = 2 if options.activation == "maxout" else 1
    x = conv(x, filters * pieces, kernel, options, name=name, normalized=True, **how)
    x = norm(x, options, name=name)
    return activate(x, options, name=f"{name}_{options.activation}")


def dense(x: Tensor, units: int, options: Options, *, name: str) -> Tensor:
    """Fully connected layer and activation: `[N, D]` -> `[N, units]`."""
    pieces = 2 if options.activation == "maxout" else 1
    x = layers.Dense(units * pieces, **initial(options), name=name)(x)
    return activate(x, options, name=f"{name}_{options.activation}")


def activate(x: Tensor, options: Options, *, name: str) -> Tensor:
    """Apply the nonlinearity. Maxout (Goodfellow et al. 2013) takes the larger of two pieces, halving the channels."""
    if options.activation == "maxout":
        return _as_layer(x, lambda pieces: ops.maximum(*ops.split(pieces, 2, axis=-1)), name=name)
    if options.activation == "leaky_relu":
        return layers.LeakyReLU(0.01, name=name)(x)  # the slope of Maas et al. 2013
    if options.activation == "prelu":  # one slope a channel, at first 0.25: He et al. 2015, arXiv:1502.01852
        shared = list(range(1, len(x.shape) - 1))
        return layers.PReLU(keras.initializers.Constant(0.25), shared_axes=shared or None, name=name)(x)
    return layers.Activation(options.activation, name=name)(x)


def activate_sum(x: Tensor, options: Options, *, name: str) -> Tensor:
    """Apply the nonlinearity where no kernel precedes it, as after an addition: maxout then needs pieces of its own."""
    if options.activation == "maxout":
        # LeCun's variance: the larger of two such pieces has the mean square of one, so depth does not amplify.
        start = {**initial(options), "kernel_initializer": "lecun_normal"}
        x = layers.Dense(2 * x.shape[-1], **start, name=f"{name}_pieces")(x)
    return activate(x, options, name=name)


def local_response_norm(x: Tensor, *, name: str) -> Tensor:
    """Divide by (1 + alpha * mean of the squares of 5 neighbouring channels) ** 0.75, alpha 1e-4.

    Krizhevsky et al. 2012, section 3.3, with GoogLeNet's constants. The mean is a pooling along the channels, and the
    power is made of square roots: each is about twice as fast here as what it stands for.
    """

    def normalized(x: Tensor) -> Tensor:
        _, height, width, channels = x.shape
        squares = ops.reshape(ops.square(x), (-1, height * width, channels, 1))
        squares = ops.pad(squares, ((0, 0), (0, 0), (2, 2), (0, 0)))
        mean = ops.reshape(ops.average_pool(squares, (1, 5), 1, "valid"), (-1, height, width, channels))
        root = ops.rsqrt(1 + 1e-4 * mean)
        return x * root * ops.sqrt(root)

    return _as_layer(x, normalized, name=name)


def classifier(x: Tensor, classes: int, options: Options, *, name: str) -> Tensor:
    """Map `[N, D]` to logits `[N, classes]`; the logits layer bears the head's name."""
    if options.dropout:
        x = layers.Dropout(options.dropout, name="dropout")(x)
    return layers.Dense(classes, **initial(options), name=name)(x)


def _as_layer(x: Tensor, function: Callable[[Tensor], Tensor], *, name: str) -> Tensor:
    """Apply Keras operations as one layer with a name of ours; a saved model needs no class of ours to load it."""
    inside = keras.Input(x.shape[1:])
    return keras.Model(inside, function(inside), name=name)(x)

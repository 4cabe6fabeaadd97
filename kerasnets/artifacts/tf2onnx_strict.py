"""tf2onnx, made to fail where it only logs an error and writes an invalid model."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kerasnets.errors import CheckFailed


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def logged_errors() -> Iterator[list[str]]:
    """Collect what tf2onnx, or what logs without a name, logs as errors; keep all that they log off the screen."""
    handler = _Errors()
    # tf2onnx imports its modules' loggers as children of this one; some log to the root logger.
    loggers = [logging.getLogger("tf2onnx"), logging.getLogger()]
    before = [(logger, logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = [handler]
    loggers[0].propagate = False
    try:
        yield handler.messages
    finally:
        for logger, handlers, propagate in before:
            logger.handlers[:] = handlers
            logger.propagate = propagate


def convert(function: Any, opset: int) -> Any:
    """Convert a `tf.function` with an input signature to an ONNX ModelProto.

    Raises:
        CheckFailed: tf2onnx logged an error, whatever it returned.
    """
    import tf2onnx

    with logged_errors() as messages:
        model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=opset)
    if messages:
        raise CheckFailed(f"onnx: the graph cannot be converted: {'; '.join(dict.fromkeys(messages))}")
    return model

"""A version's model.onnx in Triton's python backend, for Tritons that were built without the onnxruntime backend.

Put it beside `model.onnx` in each version's directory of a copy of the store, and in `config.pbtxt` say
`backend: "python"` and `default_model_filename: "model.py"`. The server's Python needs numpy and onnxruntime.
"""

import os

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args):
        """Open model.onnx of the version that this is."""
        folder = os.path.join(args["model_repository"], args["model_version"])
        path = os.path.join(folder, "model.onnx")
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def execute(self, requests):
        """Answer requests, each of which may hold several images."""
        return [self._answer(triton.get_input_tensor_by_name(request, "image").as_numpy()) for request in requests]

    def _answer(self, images):
        found = self._session.run(self._outputs, {"image": images})
        return triton.InferenceResponse([triton.Tensor(*pair) for pair in zip(self._outputs, found, strict=True)])

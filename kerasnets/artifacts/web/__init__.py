"""The folder that classifies pictures in a browser: one page, ONNX Runtime Web beside it, and the model."""

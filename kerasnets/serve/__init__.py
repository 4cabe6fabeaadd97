"""A server for the model store: KServe's Python SDK as engine, onnxruntime inside. Imports no TensorFlow."""

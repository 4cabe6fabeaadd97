"""The runs there are: listed, compared, pruned. Imports no TensorFlow."""

"""TensorFlow's half of the codecs: the same walks, file by file, as graph operations that a SavedModel may hold.

A codec's `header` returns (refusal, tiff, alpha, plain) as `rules.Header` has them, int64, int64, bool and string;
its `pixels` returns uint8 `[h, w, 3]`.
"""

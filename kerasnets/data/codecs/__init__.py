"""Image formats, a file each: what the bytes say, and the pixels through Pillow. `graph/` has TensorFlow's half."""

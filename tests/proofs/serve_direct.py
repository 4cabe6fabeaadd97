"""onnxruntime alone, in a process of its own: reads lines `BATCH SECONDS`, answers each with images a second.

python tests/proofs/serve_direct.py MODEL.onnx H,W,C
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def main() -> None:
    """Compute the same batch again and again, for as long as each line says."""
    path, shape = sys.argv[1:]
    session = onnxruntime.InferenceSession(Path(path).read_bytes(), providers=["CPUExecutionProvider"])
    for line in sys.stdin:
        batch, seconds = line.split()
        size = [int(batch), *map(int, shape.split(","))]
        images = np.random.default_rng(0).integers(0, 256, size).astype(np.float32)
        session.run(["probabilities"], {"image": images})
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < float(seconds):
            session.run(["probabilities"], {"image": images})
            count += len(images)
        print(count / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()

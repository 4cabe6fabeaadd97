"""Overrides of `digits-resnet20` that make runs of a few seconds."""

FLOAT32 = "training.precision=float32"
"""For tests that compare numbers, or need not find out what computes fastest here."""
SMALL = [
    FLOAT32,
    *("model.blocks=[1, 1, 1]", "data.image_size=8"),
    *("training.epochs=2", "training.batch_size=32", "training.learning_rate=0.05"),
]
SMALL_GOOGLENET = [
    FLOAT32,
    *("name=small-googlenet", "model.name=googlenet_bn", "model.width=0.1", "data.image_size=16"),
    *("training.epochs=1", "training.batch_size=128", "training.learning_rate=0.05"),
]
QUIET = [
    *("telemetry.every=0", "telemetry.images=false", "telemetry.pr_curves=false", "telemetry.graph=false"),
    *("telemetry.embeddings=0", "telemetry.report=false", "telemetry.doctor=false"),
]

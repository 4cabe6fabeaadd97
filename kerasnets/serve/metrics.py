"""Prometheus metrics, beside those that KServe's SDK has of each model (`request_predict_seconds` and the like)."""

from prometheus_client import Counter, Gauge, Histogram

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One in a process: the client library keeps them by name."""

    def __init__(self) -> None:
        self._requests = Counter("kerasnets_requests", "Requests answered", ["protocol", "status"])
        self._seconds = Histogram(
            "kerasnets_request_seconds", "From headers (gRPC: message) to answer", ["protocol"], buckets=_SECONDS
        )
        self._active = Gauge("kerasnets_active_requests", "Requests being answered")
        self._waiting = Gauge("kerasnets_waiting_images", "Images that wait to be computed")
        self._batch = Histogram("kerasnets_batch_images", "Images computed together", ["model_name"], buckets=_BATCHES)
        self._loaded = Gauge("kerasnets_version_loaded", "1 for each loaded version", ["model_name", "version"])
        self._failures = Counter("kerasnets_version_failures", "Versions that could not be loaded", ["model_name"])

    def answered(self, protocol: str, status: str, seconds: float) -> None:
        """Count an answer; protocol: `rest` or `grpc`; status: HTTP's number or gRPC's name."""
        self._requests.labels(protocol, status).inc()
        self._seconds.labels(protocol).observe(seconds)

    def active(self, requests: int) -> None:
        """Say how many requests are being answered."""
        self._active.set(requests)

    def waiting(self, images: int) -> None:
        """Say how many images wait."""
        self._waiting.set(images)

    def batch(self, model: str, images: int) -> None:
        """Count a batch."""
        self._batch.labels(model).observe(images)

    def loaded(self, model: str, version: int) -> None:
        """Say that a version is served from now on."""
        self._loaded.labels(model, str(version)).set(1)

    def unloaded(self, model: str, version: int) -> None:
        """Say that a version is not served any more."""
        self._loaded.remove(model, str(version))

    def failed(self, model: str) -> None:
        """Count a version that could not be loaded."""
        self._failures.labels(model).inc()

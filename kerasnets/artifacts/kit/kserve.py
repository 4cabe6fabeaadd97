"""InferenceServices for KServe: a model on Kubernetes, behind each runtime that takes one of its formats.

Source: the v1beta1 API of KServe (kserve/kserve, pkg/apis/serving/v1beta1).
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from kerasnets import __version__

FILE = "inferenceservice.yaml"
CLAIM = "models"
"""The persistent volume claim that holds the store."""
_MOST = 40  # letters of a name: Kubernetes allows 63 in a DNS label, of which KServe takes some for its own
_RESOURCES = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}

_LISTEN = ("--host", "0.0.0.0", "--port", "8080", "--linger", "5")  # noqa: S104  (in a pod)
_GRACE = 45
"""Seconds from SIGTERM to SIGKILL: what it lingers, the 30 s that a request may take, and some."""

_HEAD = f"""\
# {{name}} on KServe: take one of these, and put your claim or bucket in the place of pvc://{CLAIM}.
# Written by kerasnets {__version__} and checked against KServe's own classes; not run on a cluster.
"""


def text(name: str, formats: Sequence[str]) -> str:
    """Return the YAML documents of a model in these formats: TensorFlow Serving, Triton, `kerasnets serve`."""
    documents = (yaml.safe_dump(document, sort_keys=False) for document in services(name, formats))
    return _HEAD.format(name=name) + "---\n".join(documents)


def services(name: str, formats: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the InferenceServices as mappings."""
    if "savedmodel" in formats:
        yield _service(f"{label(name)}-tensorflow", _runtime("tensorflow", "v1", f"pvc://{CLAIM}/{name}"))
    if "onnx" in formats:
        triton = _runtime("triton", "v2", f"pvc://{CLAIM}")
        triton["model"]["args"] = ["--exit-on-error=false"]  # the store may hold models that Triton does not take
        yield _service(f"{label(name)}-triton", triton)
        yield _service(f"{label(name)}-kerasnets", _kerasnets(name))


def _service(name: str, predictor: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": predictor},
    }


def _runtime(form: str, protocol: str, uri: str) -> dict[str, Any]:
    return {
        "model": {
            "modelFormat": {"name": form},
            "protocolVersion": protocol,
            "storageUri": uri,
            "resources": _RESOURCES,
        }
    }


def _kerasnets(name: str) -> dict[str, Any]:
    """Return a predictor of our own: the image that export/kerasnets-serve builds, and the store as a volume."""
    container = {
        "name": "kserve-container",
        "image": f"kerasnets-serve:{__version__}",
        "args": ["serve", "/mnt/models", "--model", name, *_LISTEN],
        "env": [{"name": "STORAGE_URI", "value": f"pvc://{CLAIM}"}],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}},
        "resources": _RESOURCES,
    }
    return {"containers": [container], "terminationGracePeriodSeconds": _GRACE}


def label(name: str) -> str:
    """Return a model's name as a DNS label (RFC 1123): lower-case letters, digits and dashes, a letter first.

    A name that is none gets a checksum, so that `a_b` and `a.b` have labels of their own.
    """
    found = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_MOST].strip("-")
    found = found if found[:1].isalpha() else f"model-{found}".rstrip("-")
    return found if found == name else f"{found}-{zlib.crc32(name.encode()):08x}"

"""JSON documents that are read back: bounded, and each of the shape that it should have, for they may be anybody's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from kerasnets.errors import UserError

SCHEMA = 1
MOST = 64 * 2**20
"""Bytes of a document."""
_LOOSE = ConfigDict(extra="allow", strict=True)
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Size = Annotated[int, Field(ge=1, le=2**20)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Amount = Annotated[float, Field(ge=0, le=1e15)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=200)]


class Metrics(TypedDict, total=False):
    """metrics.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    validation: dict[str, float]
    test: dict[str, float]
    best_epoch: _Count
    epochs: _Count
    seconds: _Amount


class Cpu(TypedDict, total=False):
    """The processor."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    model: str
    instruction_sets: list[str]


class Environment(TypedDict, total=False):
    """environment.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    versions: dict[str, str | None]
    platform: str
    cpu: Cpu
    cores: _Count
    memory_bytes: _Count | None
    git_commit: str | None
    command: str
    working_directory: str


class Finding(TypedDict, total=False):
    """What the doctor found."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    rule: Required[str]
    severity: Literal["error", "warning"]
    layers: list[str]
    step: _Count | None
    summary: str
    evidence: dict[str, float | None]
    cause: Required[str]
    remedy: list[str]
    plot: str | None


class Diagnosis(TypedDict):
    """diagnosis.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    findings: list[Finding]


class Cost(TypedDict, total=False):
    """telemetry/cost.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    share: _Amount | None
    megabytes: _Amount


class Looked(TypedDict):
    """An image whose Grad-CAM pictures are in a run."""

    id: str
    label: str
    predicted: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    probability: Annotated[float, Field(ge=0, le=1)]


class Looks(TypedDict):
    """gradcam/gradcam.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    split: str
    layer: str
    examples: Annotated[list[Looked], Field(max_length=100)]


class Trouble(TypedDict):
    """A value that was not finite."""

    step: _Count
    kind: str
    layer: str
    action: str


class Troubles(TypedDict):
    """telemetry/nonfinite.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    events: list[Trouble]


class Watched(TypedDict):
    """telemetry/layers.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    variables: list[str]
    activations: dict[str, str]
    heads: list[str]
    main_head: str
    every: _Count
    steps_per_epoch: _Count
    clipping: bool


class Pixels(TypedDict):
    """preprocessing.json of a run or a published version."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    image_size: Annotated[list[_Size], Field(min_length=2, max_length=2)]
    channels: Literal[1, 3]
    resize: Literal["crop", "squash", "pad"]
    crop_ratio: Annotated[float, Field(gt=0, le=1)]
    mean: list[_Finite]
    std: list[Annotated[_Finite, Field(gt=0)]]
    mean_image: Literal["mean.npy"] | None


class Begun(TypedDict):
    """pretrained.json of a run."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    path: str
    sha256: str
    family: str
    loaded: _Count
    adapted: _Count
    initial: _Count
    unused: _Count


class Tensor(TypedDict):
    """An input or output of a published version."""

    dtype: str
    shape: list[_Count | None]


class Source(TypedDict):
    """The run that a version was exported from."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    config: dict[str, Any]
    skipped: dict[str, list[_Count]]


class Calibration(TypedDict):
    """How a version's probabilities were calibrated."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fitted: bool
    images: _Count
    ece_before: _Finite
    ece_after: _Finite


class Manifest(TypedDict):
    """manifest.json of a published version."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    name: _Name
    version: _Count
    formats: Annotated[list[str], Field(min_length=1)]
    inputs: dict[str, dict[str, Tensor]]
    outputs: NotRequired[dict[str, dict[str, Tensor]]]
    labels: list[str]
    files: dict[str, str]
    run: Source
    versions: NotRequired[dict[str, str | None]]
    calibration: NotRequired[Calibration | None]
    unknown_below: NotRequired[Annotated[float, Field(gt=0, lt=1)] | None]
    created: NotRequired[str]
    preprocessing: NotRequired[Pixels]
    metrics: NotRequired[dict[str, dict[str, float]]]
    parity: NotRequired[dict[str, dict[str, Any]]]
    rollback_of: NotRequired[_Count]


class GoldenPicture(TypedDict):
    """A golden image of a published version."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    file: _Name
    label: str
    probability: _Finite


class Golden(TypedDict):
    """assets/golden.json of a published version."""

    __pydantic_config__ = _LOOSE  # type: ignore[misc]
    pictures: Annotated[list[GoldenPicture], Field(min_length=1, max_length=1000)]
    lossy: list[_Name]


SHAPES: dict[str, Any] = {
    **{"metrics.json": Metrics, "environment.json": Environment, "diagnosis.json": Diagnosis, "cost.json": Cost},
    **{"nonfinite.json": Troubles, "layers.json": Watched, "preprocessing.json": Pixels, "manifest.json": Manifest},
    **{"pretrained.json": Begun, "gradcam.json": Looks, "golden.json": Golden},
}
"""Name of a file -> what it holds; more may stand beside it."""


def read(path: Path) -> dict[str, Any]:
    """Return the document in a file whose name `SHAPES` knows.

    Raises:
        UserError: it cannot be read, is too large, is no JSON, is of another schema or not of its shape.
    """
    try:
        if path.stat().st_size > MOST:
            raise UserError(f"{path} is damaged: it has more than {MOST >> 20} MiB")
        found = from_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise error if isinstance(error, UserError) else UserError(f"{path} is damaged: {error}") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{path} is damaged: it holds no mapping of names to values")
    if found.get("schema") != SCHEMA:
        raise UserError(f"{path} has schema {found.get('schema')!r:.50}; this kerasnets reads {SCHEMA}{_needed(found)}")
    try:
        document: dict[str, Any] = TypeAdapter(SHAPES[path.name]).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Input ").replace("should", "must", 1)
        raise UserError(f"{path} is damaged: {where}: {what[:1].lower()}{what[1:]}") from error
    return document


def _needed(found: Mapping[str, Any]) -> str:
    """Return which release reads a document of another schema, as far as it says so."""
    schema, versions = found.get("schema"), found.get("versions")
    if not isinstance(schema, int) or schema < SCHEMA:
        return ""
    release = versions.get("kerasnets") if isinstance(versions, Mapping) else None
    return f"; it needs {f'kerasnets {release:.50} or later' if isinstance(release, str) else 'a later release'}"

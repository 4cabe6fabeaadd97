"""`kerasnets init`: what it sees in images, and the config that it proposes."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from kerasnets import config as configs
from kerasnets.errors import UserError
from kerasnets.proposal import Proposal, init, propose


def photos(root: Path, counts: dict[str, int], size: tuple[int, int] = (60, 40), grey: bool = False) -> Path:
    """Write `<root>/<class>/<number>.png`, of width and height `size`."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (size[1], size[0], 1 if grey else 3), np.uint8)
            Image.fromarray(np.repeat(pixels, 3, axis=-1) if grey else pixels).save(root / name / f"{i}.png")
    return root


def value(proposal: Proposal, key: str) -> object:
    return {setting.key: setting.value for setting in proposal.settings}.get(key)


def arrays(path: Path, count: int, side: int, channels: int = 3) -> Path:
    np.savez(path, images=np.zeros((count, side, side, channels), np.uint8), labels=np.arange(count) % 2)
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(init, words, catch_exceptions=False)


def test_facts(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"train/ant": 9, "train/cat": 30, "val/ant": 2})
    Image.new("RGB", (300, 90)).save(root / "train/cat/long.png")
    (root / "train/cat/broken.png").write_bytes(b"hello")
    (root / "train/cat/notes.txt").write_text("hello")
    facts = propose(root).facts
    assert facts.source == "folder"
    assert facts.images == {"train": 41, "validation": 2}
    assert facts.classes == {"ant": 9, "cat": 32}
    assert (facts.smallest, facts.median, facts.largest) == ((40, 60), (40, 60), (90, 300))
    assert (facts.channels, facts.unreadable, facts.ignored, facts.long) == (3, 1, 1, 1 / 40)
    assert facts.words() == [
        "2 classes; images: 41 train, 2 validation",
        "largest class 'cat' with 32, smallest 'ant' with 9 training images",
        "sizes (height x width): smallest 40 x 60, median 40 x 60, largest 90 x 300",
        "files that cannot be read, of those looked at: 1; see data.skip_corrupt",
        "files that are not images by name, and ignored: 1",
    ]


def test_settings_for_photographs(tmp_path: Path) -> None:
    proposal = propose(photos(tmp_path / "photos", {"ant": 40, "cat": 40}, size=(150, 130)))
    assert [(setting.key, setting.value) for setting in proposal.settings] == [
        ("model.name", "resnet18"),
        ("data.source", "folder"),
        ("data.path", str(tmp_path / "photos")),
        ("data.image_size", 128),
        ("data.channels", 3),
        ("data.validation_split", 0.2),
        ("data.augment.random_resized_crop", {"scale": [0.35, 1.0]}),
        ("data.augment.flip", True),
        ("training.epochs", 100),
        ("training.batch_size", 8),
        ("training.optimizer", "sgd"),
        ("training.nesterov", True),
        ("training.learning_rate", 0.00625),
        ("training.weight_decay", 5e-4),
        ("training.schedule", "one_cycle"),
    ]
    assert all(setting.reason for setting in proposal.settings)


@pytest.mark.parametrize(
    ("count", "side", "gpu", "model", "image_size"),
    [
        (60, 28, False, "lenet5", 28),
        (600, 28, False, "resnet20", 28),
        (600, 8, False, "resnet20", 16),
        (600, 96, True, "resnet18", 96),
        (20_000, 65, False, "googlenet_bn", 65),
        (20_000, 65, True, "resnet50", 65),
    ],
)
def test_model_and_size(tmp_path: Path, count: int, side: int, gpu: bool, model: str, image_size: int) -> None:
    proposal = propose(arrays(tmp_path / "a.npz", count, side, channels=1), gpu)
    assert (value(proposal, "model.name"), value(proposal, "data.image_size")) == (model, image_size)
    assert value(proposal, "data.channels") == 1
    assert value(proposal, "data.augment.flip") is None


@pytest.mark.parametrize(("side", "image_size"), [(40, 32), (60, 64), (100, 128), (192, 224), (500, 224)])
def test_image_size_of_files(tmp_path: Path, side: int, image_size: int) -> None:
    root = photos(tmp_path / "photos", {"ant": 2, "cat": 2}, (side + 20, side))
    assert value(propose(root), "data.image_size") == image_size


def test_grey_imbalanced_and_long_images(tmp_path: Path) -> None:
    proposal = propose(photos(tmp_path / "scans", {"ant": 4, "cat": 13}, (100, 40), grey=True))
    assert value(proposal, "data.channels") == 1
    assert value(proposal, "training.class_weights") == "balanced"
    assert value(proposal, "data.resize") == "pad"
    assert value(propose(photos(tmp_path / "b", {"ant": 4, "cat": 12})), "training.class_weights") is None


def test_writes_a_config_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "my photos", {"ant": 20, "cat": 20})
    result = run("my photos")
    assert result.exit_code == 0
    assert result.stdout.endswith(
        "wrote my-photos.yaml; next:\n  kerasnets train my-photos.yaml --dry-run\n  kerasnets train my-photos.yaml\n"
    )
    config = configs.load("my-photos.yaml")
    assert (config.name, config.data.path, config.data.image_size) == ("my-photos", Path("my photos"), (32, 32))
    assert config.data.augment.flip
    text = Path("my-photos.yaml").read_text()
    assert text.startswith("# Proposed by `kerasnets init` for my-photos.\n# 2 classes; images: 40 train\n")
    settings = [line for line in text.splitlines() if not line.startswith("#") and not line.endswith(":")]
    assert all("  # " in line for line in settings if not line.startswith("name:"))


def test_never_overwrites(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"ant": 2, "cat": 2})
    config = tmp_path / "mine.yaml"
    config.write_text("mine")
    with pytest.raises(UserError) as error:
        run(str(root), "--output", str(config))
    assert str(error.value) == f"{config} is there already; remove it, or give another name with --output"
    assert config.read_text() == "mine"


def test_json(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"ant": 2, "cat": 2})
    document = json.loads(run(str(root), "--output", str(tmp_path / "a.yaml"), "--json").stdout)
    assert list(document) == ["schema", "config", "facts", "settings"]
    assert document["facts"]["classes"] == {"ant": 2, "cat": 2}
    assert set(document["settings"][0]) == {"key", "value", "reason"}


def test_idx_and_csv(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", {"ant": 2, "cat": 2})
    (tmp_path / "list.csv").write_text("path,label\nphotos/ant/0.png,a\nphotos/cat/0.png,b\n")
    assert propose(tmp_path / "list.csv").facts.source == "csv"
    (root / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match="not an IDX file of unsigned bytes in 3 dimensions"):
        propose(root)


def test_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="notes.txt is neither a folder nor a .csv or .npz file$"):
        propose(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="note.txt does not exist; did you mean 'notes.txt'?"):
        propose(tmp_path / "note.txt")
    root = tmp_path / "broken"
    for name in ("ant", "cat"):
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(b"hello")
    with pytest.raises(UserError, match="none of the 2 images looked at can be read; the first is .*broken/ant/0.png$"):
        propose(root)

"""Weights that training begins with: what becomes of them and of the pixels, as it is told and written."""

import hashlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

from kerasnets import config as configs
from kerasnets import models
from kerasnets.config import Config
from kerasnets.config.sections import Model
from kerasnets.data.preprocessing import CONSTANTS, Preprocessing
from kerasnets.errors import UserError
from kerasnets.models.pretrained import Loaded, Tensor
from kerasnets.training import pretrained
from kerasnets.training.pretrained import Weights
from kerasnets.training.transfer import Transfer

TINY = ["model.name=resnet8", "model.widths=[2, 4, 8]", "data.image_size=8"]
OURS = Preprocessing((8, 8), 1, "crop", 1.0, (70.0,), (80.0,))
OF_IMAGENET = Preprocessing((8, 8), 3, "crop", 1.0, *CONSTANTS["imagenet"])


def config(*words: str) -> Config:
    return configs.load("digits-resnet20", [*TINY, *words])


def weights(normalize: str | None, own: Preprocessing | None = None) -> Weights:
    tensors = (
        Tensor("conv1_conv/kernel", "conv1.weight", "adapted", "3 channels summed"),
        Tensor("conv2_block1_1_conv/kernel", "layer1.0.conv1.weight", "loaded", ""),
        Tensor("conv2_block1_1_bn/gamma", "layer1.0.bn1.weight", "loaded", ""),
        Tensor("softmax/kernel", "fc.weight", "initial", "1000 classes there, 10 here"),
        Tensor("softmax/bias", "fc.bias", "initial", "1000 classes there, 10 here"),
    )
    return Weights(Path("w.pth"), Loaded(Path("w.pth"), "torchvision", tensors, ("spare",), normalize), "00", own)


def test_nothing_is_read_where_nothing_is_named() -> None:
    assert pretrained.read(config(), models.build("lenet5", (28, 28, 1), 10)) is None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    net = models.build("lenet5", (28, 28, 1), 10)
    with pytest.raises(UserError, match=rf"^model.pretrained: {tmp_path}/w.pth does not exist$"):
        pretrained.read(config(f"model.pretrained={tmp_path}/w.pth"), net)
    (tmp_path / "resnet50.pth").touch()
    with pytest.raises(UserError, match=r"resnet5.pth does not exist; did you mean 'resnet50.pth'\?$"):
        pretrained.read(config(f"model.pretrained={tmp_path}/resnet5.pth"), net)


@pytest.mark.parametrize("named", ["", "model.keras"])
def test_a_run_of_ours_gives_its_weights_and_its_preprocessing(named: str, tmp_path: Path) -> None:
    there, here = (models.build("resnet8", (8, 8, 1), classes, widths=(2, 4, 8)) for classes in (5, 10))
    there.save(tmp_path / "model.keras")
    (tmp_path / "config.yaml").write_text(config().dump())
    OURS.save(tmp_path)
    found = pretrained.read(config(f"model.pretrained={tmp_path / named}"), here)
    assert found is not None
    assert (found.preprocessing, found.normalize) == (OURS, "pretrained")
    assert found.sha256 == hashlib.sha256((tmp_path / "model.keras").read_bytes()).hexdigest()
    for mine, theirs in zip(here.weights, there.weights, strict=True):
        if not mine.path.startswith("softmax/"):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert found.summary() | {"sha256": ""} == {
        **{"path": str(tmp_path / named), "sha256": "", "family": "kerasnets"},
        **{"loaded": len(here.weights) - 2, "adapted": 0, "initial": 2, "unused": 0},
    }


def test_the_document_has_every_tensor() -> None:
    document = weights("imagenet").document()
    assert (document["loaded"], document["adapted"], document["initial"], document["unused"]) == (2, 1, 2, 1)
    assert (document["normalize"], document["unused_names"], len(document["tensors"])) == ("imagenet", ["spare"], 5)
    assert document["tensors"][0] == {
        **{"name": "conv1_conv/kernel", "source": "conv1.weight"},
        **{"state": "adapted", "note": "3 channels summed"},
    }


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ("auto", weights("imagenet"), "imagenet"),
        ("auto", weights(None, OURS), "pretrained"),
        ("imagenet", weights("imagenet"), "imagenet"),
        ("unit", weights(None), "unit"),
        ("imagenet", weights(None, OF_IMAGENET), "imagenet"),
    ],
)
def test_auto_is_what_the_weights_were_trained_with(
    given: str, found: Weights | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given_config = config("model.pretrained=w.pth", f"data.normalize={given}")
    assert pretrained.with_normalization(given_config, found).data.normalize == expected
    assert capsys.readouterr().err == ""


def test_without_weights_auto_is_resolved_as_the_config_is_read() -> None:
    assert config().data.normalize == config("data.normalize=auto").data.normalize == "dataset"
    assert config("data.normalize=unit").data.normalize == "unit"
    assert pretrained.with_normalization(config(), None) == config()


def test_weights_that_say_nothing_of_pixels_are_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    found = pretrained.with_normalization(config("model.pretrained=w.pth"), weights(None))
    assert found.data.normalize == "dataset"
    assert capsys.readouterr().err == "w.pth does not say how its images were normalised: data.normalize=dataset\n"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (weights("imagenet"), "were trained with data.normalize=imagenet"),
        (weights(None, OURS), "were trained on pixels minus (70), divided by (80)"),
    ],
)
def test_what_the_user_set_stays_with_a_warning(found: Weights, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = config("model.pretrained=w.pth", "data.normalize=unit")
    assert pretrained.with_normalization(given, found) == given
    said = f"data.normalize=unit: the weights of w.pth {words}; leave it out for that\n"
    assert capsys.readouterr().err == said


def test_pretrained_pixels_need_a_run() -> None:
    given = config("model.pretrained=w.pth", "data.normalize=pretrained")
    with pytest.raises(UserError, match=r"^data.normalize=pretrained: there is no preprocessing.json beside w.pth$"):
        pretrained.with_normalization(given, weights("imagenet"))


def shown(*words: str, found: Weights | None = None) -> list[str]:
    net = models.build("resnet8", (8, 8, 1), 10, widths=(2, 4, 8))
    table = Transfer.of(config(*words), net).table(net, found)
    assert table is not None
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_run_from_scratch_has_no_table() -> None:
    net = models.build("resnet8", (8, 8, 1), 10, widths=(2, 4, 8))
    assert Transfer.of(config(), net).table(net, None) is None


def test_the_table_has_a_row_a_stage() -> None:
    assert shown("model.freeze=conv3", "model.thaw_after=3", "training.layer_decay=0.2", found=weights("imagenet")) == [
        "stage  parameters  loaded  adapted  initial",
        "conv1          22                1           frozen for 3 epochs, rate x 0.0016",
        "conv2          80       2                    frozen for 3 epochs, rate x 0.008",
        "conv3         232                            frozen for 3 epochs, rate x 0.04",
        "conv4         896                            rate x 0.2",
        "head           90                         2",
    ]


def test_the_table_of_a_frozen_network_without_weights_from_elsewhere() -> None:
    assert shown("model.freeze=backbone", "training.layer_multipliers={stem: 0.1}") == [
        "stage  parameters",
        "conv1          22  frozen",
        "conv2          80  frozen",
        "conv3         232  frozen",
        "conv4         896  frozen",
        "head           90",
    ]


def test_freezing_what_has_learnt_nothing_is_warned_of() -> None:
    net = models.build("resnet8", (8, 8, 1), 10, widths=(2, 4, 8))
    frozen, tuned = config("model.freeze=stem"), config("model.freeze=stem", "model.pretrained=w.pth")
    said = "model.freeze=stem without model.pretrained: those layers stay as they are initialised"
    assert Transfer.of(frozen, net).warning(frozen) == said
    assert Transfer.of(tuned, net).warning(tuned) is None
    assert Transfer.of(config(), net).warning(config()) is None


def test_many_layers_of_a_model_of_ones_own_share_rows() -> None:
    image = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(image)
    for number in range(40):
        x = keras.layers.Dense(2, name=f"dense_{number}")(x)
    net = keras.Model(image, keras.layers.Dense(3, name="softmax")(x))
    own = Model.model_validate({"name": "nets:deep", "freeze": "dense_29"})
    found = Transfer.of(config().model_copy(update={"model": own}), net)
    assert found.freeze(net, 10).names == {f"dense_{n}/{v}" for n in range(30) for v in ("kernel", "bias")}
    table = found.table(net, None)
    assert table is not None
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    assert [line.rstrip() for line in capture.get().splitlines()] == [
        "stage                parameters",
        "dense_0 … dense_29          304  frozen",
        "dense_30 … dense_39          60",
        "head                          9",
    ]


def test_each_reason_is_told_once() -> None:
    assert weights("imagenet").notes() == [
        "adapted: 3 channels summed (conv1_conv/kernel)",
        "initial: 1000 classes there, 10 here (softmax/kernel and 1 more)",
    ]
    many = tuple(Tensor(f"conv{n}/kernel", None, "initial", f"reason {n}") for n in range(10))
    found = replace(weights(None), loaded=Loaded(Path("w.pth"), "timm", many, (), None)).notes()
    assert (len(found), found[-1]) == (9, "and 2 more: pretrained.json")


def test_the_headline_counts_tensors() -> None:
    assert str(weights("imagenet")) == (
        "weights of w.pth (torchvision): 2 of 5 tensors loaded, 1 adapted, 2 left at initialisation; 1 in the file are "
        "not used"
    )

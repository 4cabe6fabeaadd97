from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin

from kerasnets.telemetry import projector
from kerasnets.telemetry.events import VALIDATION, Events

NAMES = ["cat", "tab\there", "line\nbreak", "猫"]


def network(softmax: bool = False, activation: str = "relu") -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 5, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation=activation)(inputs))
    logits = keras.layers.Dense(4, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax()(logits) if softmax else logits)


def batches(inputs: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of 7, the last one smaller."""
    for start in range(0, len(labels), 7):
        yield inputs[start : start + 7], np.eye(4)[labels[start : start + 7]]


def images(count: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return inputs, labels and pictures whose grey is the image's number."""
    generator = np.random.default_rng(0)
    pictures = [np.full((6, 5, 1), place, np.uint8) for place in range(count)]
    return generator.normal(size=(count, 6, 5, 1)).astype(np.float32), generator.integers(0, 4, count), pictures


def plugin(directory: Path) -> projector_plugin.ProjectorPlugin:
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(directory))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(directory))
    found = projector_plugin.ProjectorPlugin(base_plugin.TBContext(data_provider=provider, logdir=str(directory)))
    found._update_configs()
    return found


@pytest.mark.parametrize("softmax", [False, True])
def test_embeddings_are_what_the_logits_are_made_of(tmp_path: Path, softmax: bool) -> None:
    net = network(softmax)
    inputs, labels, pictures = images(100)
    assert projector.write_embeddings(tmp_path, net, batches(inputs, labels), NAMES, pictures) == 100
    points = np.loadtxt(tmp_path / "penultimate.tsv", dtype=np.float32)
    logits = points @ net.get_layer("logits").kernel.numpy() + net.get_layer("logits").bias.numpy()
    expected = net.predict(inputs, verbose=0)
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if softmax else logits
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert points.shape == (100, 8)
    rows = [line.split("\t") for line in (tmp_path / "penultimate_metadata.tsv").read_text("utf-8").splitlines()]
    assert rows[0] == ["true", "predicted", "outcome", "probability"]
    assert len(rows) == 101 and {len(row) for row in rows} == {4}
    clean = ["cat", "tab here", "line break", "猫"]
    assert [row[0] for row in rows[1:]] == [clean[label] for label in labels]
    assert [row[1] for row in rows[1:]] == [clean[place] for place in expected.argmax(axis=1)]
    assert [row[2] == "right" for row in rows[1:]] == (labels == expected.argmax(axis=1)).tolist()


def test_sprite_has_every_picture_at_its_place(tmp_path: Path) -> None:
    inputs, labels, pictures = images(10)
    projector.write_embeddings(tmp_path, network(), batches(inputs, labels), NAMES, pictures)
    sheet = np.asarray(Image.open(tmp_path / "penultimate_sprite.png"))
    assert sheet.shape == (24, 24, 3)  # 4 across, 6 pixels each
    assert [sheet[place // 4 * 6 + 3, place % 4 * 6 + 3, 0] for place in range(10)] == list(range(10))


@pytest.mark.parametrize("where", ["", "run/tensorboard"])
def test_tensorboard_finds_them(tmp_path: Path, where: str) -> None:
    directory = tmp_path / where
    events = Events(directory)
    events.scalars(1, {"loss": 1.0}, VALIDATION)
    events.close()
    inputs, labels, pictures = images(20)
    projector.write_embeddings(directory / VALIDATION, network(), batches(inputs, labels), NAMES, pictures)
    ((run, config),) = plugin(tmp_path)._configs.items()
    assert run == f"{where}/{VALIDATION}".strip("/")
    (embedding,) = config.embeddings
    assert list(embedding.tensor_shape) == [20, 8]
    assert list(embedding.sprite.single_image_dim) == [6, 6]


def test_all_zero_embeddings_of_a_dead_network(tmp_path: Path) -> None:
    net = network()
    net.set_weights([np.zeros(weights.shape) for weights in net.get_weights()])
    inputs, labels, pictures = images(5)
    assert projector.write_embeddings(tmp_path, net, batches(inputs, labels), NAMES, pictures) == 5
    (config,) = plugin(tmp_path)._configs.values()
    assert list(config.embeddings[0].tensor_shape) == [5, 8]


def test_nonfinite_embeddings_are_left_out(tmp_path: Path) -> None:
    inputs, labels, pictures = images(10)
    inputs[3] = np.nan  # through a linear layer: oneDNN's ReLU makes 0 of NaN
    net = network(activation="linear")
    assert projector.write_embeddings(tmp_path, net, batches(inputs, labels), NAMES, pictures) == 9
    assert len(np.loadtxt(tmp_path / "penultimate.tsv")) == 9
    sheet = np.asarray(Image.open(tmp_path / "penultimate_sprite.png"))
    assert sheet[6 + 3, 3, 0] == 4  # 3 across
    inputs[:] = np.inf
    assert (
        projector.write_embeddings(
            tmp_path / "none", network(activation="linear"), batches(inputs, labels), NAMES, pictures
        )
        == 0
    )
    assert not (tmp_path / "none").exists()


def test_a_network_without_weights_has_none() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="no layer with weights"):
        projector.features(keras.Model(inputs, keras.layers.Softmax()(inputs)))

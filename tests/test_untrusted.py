"""Files from somebody else: nothing in them is run, leads elsewhere or fills the memory; each is refused in words."""

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import made_runs
import numpy as np
import onnx
import pytest
import tensorflow as tf
from click.testing import CliRunner

from kerasnets import config as configs
from kerasnets import documents, models
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.graph import Graph
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.safety import COMPUTING, check_saved_model
from kerasnets.cli import kerasnets
from kerasnets.config import Data
from kerasnets.console import Words
from kerasnets.data import sources
from kerasnets.data.arrays import read_idx
from kerasnets.data.cells import cells
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed, UserError, plain
from kerasnets.inference.subject import open_runner
from kerasnets.models import archive
from kerasnets.models.complexity import outline
from kerasnets.report import page
from kerasnets.run import Run
from kerasnets.training.checkpoint.store import Store


class Payload:
    """What pickle runs when it loads it: makes a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._marker}",)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What an attack makes where it succeeds; the fixture itself shows that pickle would."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "works")))
    assert (tmp_path / "works").exists()
    return tmp_path / "marker"


# --- `.keras` files


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model as training saves it."""
    path = tmp_path_factory.mktemp("honest") / "model.keras"
    models.build("lenet5", (32, 32, 1), 4).save(path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], to: Path, packing: int = 0) -> Path:
    """Write the members of a `.keras` file to another after `change`."""
    with zipfile.ZipFile(path) as found:
        members = {name: found.read(name) for name in found.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w", packing) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return to


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        models.load(path)
    assert str(path) in str(error.value)
    return str(error.value).partition("that can be loaded: ")[2]


def with_layer(layer: dict[str, Any]) -> Callable[[dict[str, bytes]], None]:
    """Return a change that puts a layer in the place of the first after the input."""

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        layers = config["config"]["layers"]
        layers[1] = {**layers[1], **layer}
        members["config.json"] = json.dumps(config).encode()

    return change


def test_honest_models_load(honest: Path) -> None:
    assert len(models.load(honest).layers) == len(keras.models.load_model(honest).layers)


@pytest.mark.parametrize("name", [name for name in models.MODELS if "1202" not in name and "15" not in name])
def test_what_models_are_made_of_is_allowed(name: str) -> None:
    archive._check_config(keras.saving.serialize_keras_object(outline(name)))


@pytest.mark.parametrize("activation", models.specs.ACTIVATIONS)
def test_every_activation_is_allowed(activation: str) -> None:
    model = outline("lenet5", (32, 32, 1), 4, activation=activation)
    archive._check_config(keras.saving.serialize_keras_object(model))


def test_a_lambda_layer_is_not_run(honest: Path, tmp_path: Path, marker: Path) -> None:
    inputs = keras.Input((4,))
    code = f"__import__('os').system('touch {marker}')"
    net = keras.Model(inputs, keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(4,))(inputs))  # noqa: S307
    marker.unlink(missing_ok=True)
    net.save(tmp_path / "lambda.keras")
    keras.models.load_model(tmp_path / "lambda.keras", safe_mode=False)(np.zeros((1, 4)))
    assert marker.exists()  # so it would
    marker.unlink()
    assert refused(tmp_path / "lambda.keras") == "it names keras.layers.Lambda, of which no model here is made"
    assert not marker.exists()


ENTRIES = [("os", "system"), ("subprocess", "Popen"), ("keras.config", "enable_unsafe_deserialization")]
ENTRIES += [("builtins", "eval"), ("keras.utils", "get_file"), ("keras.models", "load_model")]


@pytest.mark.parametrize(("module", "name"), ENTRIES)
def test_a_module_entry_imports_nothing(module: str, name: str, honest: Path, tmp_path: Path, marker: Path) -> None:
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    made = {"module": module, "class_name": name, "config": {"command": f"touch {marker}"}, "registered_name": None}
    for entry, named in ((function, f"it names {module}.function"), (made, f"it names {module}.{name}")):
        layer = rewritten(honest, with_layer(entry), tmp_path / "layer.keras")
        deep = {"config": {"name": "x", "kernel_initializer": {"list": [entry]}}}
        nested = rewritten(honest, with_layer(deep), tmp_path / "nested.keras")
        assert refused(layer) == refused(nested) == f"{named}, of which no model here is made"
    assert not marker.exists()


@pytest.mark.parametrize("layer", ["TFSMLayer", "TorchModuleWrapper", "StringLookup", "TextVectorization", "JaxLayer"])
def test_layers_of_keras_that_read_other_files_are_refused(layer: str, honest: Path, tmp_path: Path) -> None:
    entry = {"module": "keras.layers", "class_name": layer, "config": {"filepath": "/etc", "vocabulary": "/etc/passwd"}}
    path = rewritten(honest, with_layer(entry), tmp_path / "m.keras")
    assert refused(path) == f"it names keras.layers.{layer}, of which no model here is made"


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "assets/x", "model.weights.npz"])
def test_members_that_no_model_has_are_refused(name: str, honest: Path, tmp_path: Path) -> None:
    path = rewritten(honest, lambda members: members.update({name: b"x"}), tmp_path / "model.keras")
    assert refused(path) == f"it holds {name!r}"
    assert not (tmp_path.parent / "outside").exists()


def test_a_link_in_an_archive_is_refused(honest: Path, tmp_path: Path) -> None:
    path = shutil.copy(honest, tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archived:
        link = zipfile.ZipInfo("assets")
        link.external_attr = 0o120777 << 16
        archived.writestr(link, "/etc")
    assert refused(path) == "it holds 'assets'"


def test_compressed_archives_are_refused_before_they_are_unpacked(honest: Path, tmp_path: Path) -> None:
    bomb = lambda members: members.update({"model.weights.h5": bytes(50_000_000)})  # noqa: E731
    path = rewritten(honest, bomb, tmp_path / "model.keras", zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    assert refused(path).startswith("it is compressed or encrypted")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "it is nested too deeply"),
        (b"{", "Expecting property name"),
        (b"{}", "'config'"),
        (b"[]", "list"),
    ],
    ids=["deep", "cut", "empty", "list"],
)
def test_configs_that_are_none(content: bytes, message: str, honest: Path, tmp_path: Path) -> None:
    path = rewritten(honest, lambda members: members.update({"config.json": content}), tmp_path / "model.keras")
    assert message in refused(path)


def test_no_zip_at_all(tmp_path: Path, marker: Path) -> None:
    (tmp_path / "model.keras").write_bytes(pickle.dumps(Payload(marker)))
    assert refused(tmp_path / "model.keras") == "File is not a zip file"
    assert not marker.exists()


def test_weights_that_are_declared_but_not_there(honest: Path, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][-1]["config"]["units"] = 2_000_000_000
        members["config.json"] = json.dumps(config).encode()

    assert refused(rewritten(honest, change, tmp_path / "model.keras")).startswith("it declares 680,")


def attack_link(file: h5py.File, secret: Path) -> None:
    file["layers/link"] = h5py.ExternalLink(str(secret), "/secret")


def attack_soft(file: h5py.File, secret: Path) -> None:
    file["layers/link"] = h5py.SoftLink("/layers")


def attack_external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/more", (8,), "uint8", external=[(str(secret), 0, 8)])


def attack_virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((8,), "uint8")
    layout[:] = h5py.VirtualSource(str(secret), "secret", (8,))
    file.create_virtual_dataset("layers/more", layout)


def attack_shape(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/more", (2**40,), "float32")


def attack_packed(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/more", data=np.zeros(10**7, np.float32), compression="gzip")


def attack_circle(file: h5py.File, secret: Path) -> None:
    file["layers/again"] = file["layers"]


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (attack_link, "its weights hold a link, 'link'"),
        (attack_soft, "its weights hold a link, 'link'"),
        (attack_external, "its weights are in another file, 'more'"),
        (attack_virtual, "its weights are in another file, 'more'"),
        (attack_shape, "its weights hold an array that is not plain, 'more'"),
        (attack_packed, "its weights hold an array that is not plain, 'more'"),
        (attack_circle, "its weights hold one thing twice, 'again'"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_weights_lie_in_the_file_itself(
    attack: Callable[[h5py.File, Path], None], message: str, honest: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"password")

    def change(members: dict[str, bytes]) -> None:
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            attack(file, tmp_path / "secret")
        members["model.weights.h5"] = content.getvalue()

    assert refused(rewritten(honest, change, tmp_path / "model.keras")) == message


# --- configs


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch MARKER']",
        "model: {name: lenet5, activation: \"!!python/object/apply:os.system ['touch MARKER']\"}",
        "data: {source: digits, class_names: !!python/name:os.system }",
    ],
)
def test_tags_in_a_config_make_nothing(text: str, tmp_path: Path, marker: Path) -> None:
    (tmp_path / "c.yaml").write_text(text.replace("MARKER", str(marker)))
    with pytest.raises(UserError):
        configs.load(tmp_path / "c.yaml")
    assert not marker.exists()


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "c.yaml line 2: references such as *name are not taken"),
        ("model: " + "[" * 5000, "c.yaml: nested too deeply"),
        ("{[a]: 1}", "c.yaml line 1: a key is not a word"),
        ("name: ../../x\nmodel: {name: lenet5}\ndata: {source: digits}", "name: found '../../x'"),
        ('name: "x\\n"\nmodel: {name: lenet5}\ndata: {source: digits}', "name: found 'x\\n'"),
        ("model: {name: resnet20, blocks: [1000000000]}\ndata: {source: digits}", "model.blocks is"),
        (
            "model: {name: lenet5}\ndata: {source: digits}\ntraining: {epochs: " + "9" * 400 + "}",
            "training.epochs: found",
        ),
        ("x: " + "y" * 5_000_000, "c.yaml: a config has at most 4 million characters"),
        (
            "model: {name: lenet5}\ndata: {source: digits}\n" + "".join(f"k{i}: 1\n" for i in range(9999)),
            "and 9949 more",
        ),
    ],
    ids=["references", "deep", "key", "path", "line break", "blocks", "digits", "size", "keys"],
)
def test_configs_that_are_made_to_harm(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        configs.load(tmp_path / "c.yaml")
    assert message in str(error.value)
    assert len(str(error.value)) < 20_000


# --- data files


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def npy(shape: tuple[int, ...], content: bytes = b"", dtype: str = "|u1") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def loaded(source: str, path: Path) -> str:
    with pytest.raises(UserError) as error:
        sources.load(Data(source=source, path=path), seed=0)  # type: ignore[arg-type]
    return str(error.value)


def test_pickles_in_arrays_are_not_loaded(tmp_path: Path, marker: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=np.array([Payload(marker)], object), y_train=np.zeros(1, int))
    np.save(tmp_path / "bare.npy", np.array([Payload(marker)], object))
    assert "Object arrays cannot be loaded when allow_pickle=False" in loaded("npz", tmp_path / "x.npz")
    (tmp_path / "bare.npz").write_bytes((tmp_path / "bare.npy").read_bytes())
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Payload(marker)))
    for name in ("bare.npz", "pickle.npz"):
        assert "is not an npz file of plain arrays" in loaded("npz", tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize("shape", [(2**50, 8, 8), (2**38, 8, 8), (2**62, 2**62, 8), (-1, 8, 8)])
def test_arrays_that_are_declared_but_not_there(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x_train=npy(shape, b"\0" * 64), y_train=npy((1,), b"\0"))
    assert "is not an npz file of plain arrays" in loaded("npz", path)


def test_an_npz_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x_train=npy((1, 8, 8), b"\0" * 64), y_train=npy((1,), b"\0"))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the size, unpacked, in the directory
    content[at : at + 4] = struct.pack("<I", 0xF0000000)
    path.write_bytes(content)
    assert "'x_train.npy' would unpack to 4,026,531,840 bytes" in loaded("npz", path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_that_declares_too_much(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    content = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**10, 2**10) + bytes(1000)
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(UserError, match=r"wants 2,251,799,813,685,248 bytes, and the file has"):
        read_idx(path, 3)


def test_no_more_is_unpacked_of_an_idx_file_than_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 10) + bytes(100_000_000)))
    with pytest.raises(UserError, match=r"over 10 bytes of data, but its header \(10,\) wants 10$"):
        read_idx(path, 1)


def test_a_pipe_is_no_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npz")
    assert "it is no file" in loaded("npz", tmp_path / "x.npz")


# --- run directories

ESCAPES = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e"
HTML = "<script>alert(1)</script>&\"'"
MARKUP = "[red]a[/red][/]"
NAMES = [HTML, MARKUP, "=1+1", "$\\frac{", "plain", "{{7*7}}"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run with class names of all kinds."""
    return made_runs.make_run(tmp_path / "runs" / "foreign", NAMES, findings=[made_runs.FINDING])


def invoke(*words: str | Path) -> tuple[int, str]:
    """Return how a command ends, and what it says."""
    done = CliRunner().invoke(kerasnets, [str(word) for word in words])
    error = done.exception
    if isinstance(error, UserError):
        return 2, str(error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return done.exit_code, done.output


def test_words_of_others_are_text_in_the_report(run: Run) -> None:
    page.write(run)
    html = (run.path / "report.html").read_text()
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html
    assert "{{7*7}}" in html


WRONG = [
    ("metrics.json", '{"schema": 1, "validation": {"accuracy": "<b>"}}'),
    ("metrics.json", '{"schema": 1, "seconds": 1e999}'),
    ("metrics.json", '{"schema": 1, "epochs": ' + "9" * 5000 + "}"),
    ("metrics.json", '{"schema": 1, "validation": []}'),
    ("metrics.json", "[" * 100_000),
    ("metrics.json", "[]"),
    ("metrics.json", "\ud800"),
    ("environment.json", '{"schema": 1, "cpu": 3}'),
    ("environment.json", '{"schema": 1, "versions": {"keras": {}}}'),
    ("diagnosis.json", '{"schema": 1, "findings": [3]}'),
    ("diagnosis.json", '{"schema": 1, "findings": [{"rule": 1, "cause": "x"}]}'),
    ("telemetry/cost.json", '{"schema": 1, "share": "x"}'),
    ("telemetry/layers.json", '{"schema": 1, "variables": {"a": 1}}'),
    ("history.csv", "epoch,loss\n1,what\n"),
    ("history.csv", "epoch,loss\n1\n"),
    ("history.csv", "epoch,loss\n1," + "1" * 200_000 + "\n"),
    ("predictions.csv", "split,id\ntest,1\n"),
    ("predictions.csv", "split,id,label,predicted,confidence,probability_of_label\ntest,1,plain,nobody,1,1\n"),
    ("predictions.csv", "split,id,label,predicted,confidence,probability_of_label\ntest,1,plain,plain,nan,1e9\n"),
    ("splits.csv", "a,b\n1,2\n"),
    ("skipped.csv", "split,index,path,reason\ntrain,x,a,b\n"),
]


@pytest.mark.parametrize(("name", "content"), WRONG, ids=[f"{name} {content[-24:]}" for name, content in WRONG])
def test_wrong_files_of_a_run_are_named(name: str, content: str, run: Run) -> None:
    (run.path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    code, said = invoke("report", run.path)
    assert code == 2
    assert str(run.path / name) in said and len(said) < 1000
    assert invoke("runs", "list", run.path.parent)[0] == 0


def test_a_damaged_statistics_table_is_left_out(run: Run) -> None:
    with (run.telemetry / "statistics.csv").open("a") as file:
        file.write("1,gradient," + "x" * 200_000 + ",0\n" + "9" * 5000 + ",gradient,a,0\n")
    assert invoke("report", run.path)[0] == 0
    assert invoke("doctor", run.path)[0] == 0


PREPROCESSING = '"image_size": [8, 8], "channels": 1, "resize": "crop", "crop_ratio": 1.0, "mean": [0.0], "std": [1.0]'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (f'{{"schema": 1, {PREPROCESSING}, "mean_image": "../../secret.npy"}}', "mean_image: must be 'mean.npy'"),
        (f'{{"schema": 1, {PREPROCESSING}, "mean_image": "mean.npy"}}', "mean.npy is damaged: "),
        (f'{{"schema": 1, {PREPROCESSING.replace("[8, 8]", "[8, 1e9]")}, "mean_image": null}}', "image_size.1: "),
        (f'{{"schema": 1, {PREPROCESSING.replace("[1.0]", "[0.0]")}, "mean_image": null}}', "std.0: "),
        (f'{{"schema": 1, {PREPROCESSING.replace("[1.0]", "[1, 1]")}, "mean_image": null}}', "are not of 1 channels"),
    ],
)
def test_preprocessing_of_others(document: str, message: str, tmp_path: Path, marker: Path) -> None:
    (tmp_path / "preprocessing.json").write_text(document)
    np.save(tmp_path / "mean.npy", np.array([Payload(marker)], object))
    with pytest.raises(UserError, match=message):
        Preprocessing.load(tmp_path)
    (tmp_path / "mean.npy").write_bytes(npy((2**50, 8, 1), dtype="<f4"))
    with pytest.raises(UserError):
        Preprocessing.load(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("diagnosis", ["doctor"]),
        (".report.html.tmp", ["report"]),
        ("evaluation", ["evaluate"]),
        ("telemetry", ["train", "--resume"]),
        ("checkpoints", ["train", "--resume"]),
        (".lock", ["train", "--resume"]),
    ],
)
def test_links_that_lead_out_of_a_run_are_not_followed(
    name: str, command: Sequence[str], run: Run, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in ("precious.svg", "statistics.csv", "epoch-0001-step-000000001"):
        (outside / file).write_text("mine")
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    inside = run.path / name
    shutil.rmtree(inside) if inside.is_dir() else inside.unlink(missing_ok=True)
    inside.symlink_to(outside / "precious.svg" if name.startswith(".") else outside)
    code, said = invoke(*command, run.path)
    assert code == 2 and said.startswith(f"{inside} is a link that leads out of the run")
    Store(run.checkpoints).clear()
    if name == ".lock":
        assert not run.in_use
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


def test_prune_deletes_links_and_not_what_they_lead_to(run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("x")
    (run.path / "link").symlink_to(outside)
    root = run.path.parent
    (root / "other").symlink_to(shutil.copytree(run.path, tmp_path / "elsewhere", symlinks=True))
    assert invoke("runs", "prune", root, "--keep", "0", "--yes")[0] == 0
    assert not run.path.exists()
    assert (outside / "mine").exists() and (tmp_path / "elsewhere" / "config.yaml").exists()


# --- words in a terminal and in a spreadsheet


def test_no_word_reaches_the_terminal_as_a_command() -> None:
    stream = io.StringIO()
    console = Words(file=stream, force_terminal=True, width=200, markup=False, emoji=False, highlight=False)
    console.print(f"{ESCAPES} {MARKUP} :smile:", style="bold")
    assert MARKUP in stream.getvalue() and ":smile:" in stream.getvalue()
    rest = stream.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert not set(rest) & set("\x1b\x07\x9b\u202e")
    assert plain("a\tb\nc\x1b[0m") == "a\tb\nc\\u001b[0m"


def test_no_error_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "kerasnets", "report", str(tmp_path / "\x1b[31mred")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "\\u001b[31mred does not exist" in done.stderr and "\x1b" not in done.stderr


def test_json_shows_control_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    from kerasnets.console import emit_json

    emit_json({"label": ESCAPES})
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\x9b\u202e")
    assert json.loads(said) == {"label": ESCAPES}


def test_a_cell_is_no_formula() -> None:
    assert cells("=1+1", "@SUM(A1)", "-cmd|' /C calc'!A0", "\t=1", "-1.5", "+2", "cat", 3, -0.5) == [
        *("'=1+1", "'@SUM(A1)", "'-cmd|' /C calc'!A0", "'\t=1", "-1.5", "+2", "cat", 3, -0.5)
    ]


# --- published versions


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        **{"schema": 1, "name": "n", "version": 1, "formats": ["savedmodel"], "labels": ["a", "b"], "files": {}},
        "inputs": {"image": {"image": {"dtype": "float32", "shape": [None, None, None, 1]}}},
        "run": {"config": {}, "skipped": {}},
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../outside"},
        {"labels": 3},
        {"formats": []},
        {"files": [1]},
        {"inputs": {}},
        {"run": None},
        {"inputs": {"image": {"image": {"dtype": 3, "shape": []}}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_manifests_of_others(changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(**changes)))
    with pytest.raises(UserError, match="manifest.json is damaged: "):
        Manifest.read(tmp_path)


def save(module: tf.Module, path: Path, function: Callable[[tf.Tensor], Any]) -> Path:
    spec = tf.TensorSpec([None, None, None, 1], tf.float32, name="image")
    signature = tf.function(lambda image: {"probabilities": function(image)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return path


def opened(path: Path) -> str:
    (path / "manifest.json").write_text(json.dumps(manifest()))
    with pytest.raises(CheckFailed) as error:
        open_runner(Manifest.read(path), "savedmodel")
    return str(error.value)


def answer(image: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(tf.zeros([tf.shape(image)[0], 2]))


def after(operation: Callable[[], Any]) -> Callable[[tf.Tensor], tf.Tensor]:
    def function(image: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([operation()]):
            return answer(image)

    return function


@pytest.mark.parametrize(("channels", "resize", "feed"), [(1, "pad", Feed()), (3, "crop", Feed("uint8", static=True))])
def test_what_exports_are_made_of_is_allowed(channels: int, resize: str, feed: Feed) -> None:
    zero, one = (0.0,) * channels, (1.0,) * channels
    preprocessing = Preprocessing((28, 28), channels, resize, 0.9, zero, one)  # type: ignore[arg-type]
    graph = Graph(models.build("lenet5", (28, 28, channels), 2), preprocessing, ("a", "b"), feed, {})
    used = set()
    for function in (graph.image_function(), graph.bytes_function()):
        found = function.get_concrete_function().graph.as_graph_def()
        used |= {node.op for node in found.node}
        used |= {node.op for function in found.library.function for node in function.node_def}
    assert used - COMPUTING == set()


@pytest.mark.slow
def test_a_saved_model_that_writes_or_reads_is_not_opened(tmp_path: Path, marker: Path) -> None:
    name = str(marker)
    attacks = {
        "WriteFile": lambda: tf.io.write_file(name, "x"),
        "ReadFile": lambda: tf.io.read_file("/etc/passwd"),
        "EagerPyFunc": lambda: tf.py_function(lambda: marker.touch() or 0, [], tf.int32),
        "SaveV2": lambda: tf.raw_ops.SaveV2(
            prefix=name, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(1)]
        ),
        "PrintV2": lambda: tf.raw_ops.PrintV2(input="x", output_stream=f"file://{name}"),
    }
    for operation, attack in attacks.items():
        path = save(tf.Module(), tmp_path / operation, after(attack))
        assert (
            opened(path)
            == f"{path}/saved_model.pb holds the operation {operation}, of which no export is made; it was not opened"
        )
    assert not marker.exists()


@pytest.mark.slow
def test_a_saved_model_that_writes_as_soon_as_it_is_loaded(tmp_path: Path, marker: Path) -> None:
    class Harmful(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            initializer = tf.lookup.KeyValueTensorInitializer(["a"], [1])
            self.table = tf.lookup.StaticHashTable(initializer, -1)

    path = save(Harmful(), tmp_path / "table", answer)
    assert "was not opened" in opened(path)
    assert not marker.exists()


@pytest.mark.slow
def test_a_saved_model_whose_signature_calls_its_saver(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    module = tf.Module()
    module.weight = tf.Variable(1.0)
    path = save(module, tmp_path / "saver", lambda image: answer(image) * module.weight)
    check_saved_model(path)
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    saver = next(f.signature.name for f in functions if "traced_save" in f.signature.name)
    other = next(f for f in functions if "traced" not in f.signature.name)
    node = other.node_def.add(name="attack", op="StatefulPartitionedCall")
    node.attr["f"].func.name = saver
    file.write_bytes(saved.SerializeToString())
    assert f"calls {saver}, which writes or reads files" in opened(path)
    saved.meta_graphs[0].ClearField("object_graph_def")
    file.write_bytes(saved.SerializeToString())
    assert "is not a SavedModel of TensorFlow 2" in opened(path)
    file.write_bytes(b"\xff" * 100)
    assert "was not opened" in opened(path)


@pytest.mark.parametrize("place", ["../secret", "inside", "/etc/hostname"])
def test_an_onnx_file_holds_its_tensors_itself(place: str, tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.mkdir()
    for path in (tmp_path / "secret", version / "inside"):
        path.write_bytes(np.zeros(2, np.float32).tobytes())
    weight = onnx.TensorProto(name="weight", data_type=1, dims=[1, 2], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=place)
    value = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1, 2])
    node = onnx.helper.make_node("Identity", ["weight"], ["probabilities"])
    opset = onnx.helper.make_opsetid("", 17)
    graph = onnx.helper.make_graph([node], "g", [], [value], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.helper.set_model_props(model, {"labels": '["a", "b"]'})
    (version / "model.onnx").write_bytes(model.SerializeToString())
    (version / "manifest.json").write_text(json.dumps(manifest(formats=["onnx"])))
    with pytest.raises(UserError, match=r"model.onnx cannot be opened: "):
        open_runner(Manifest.read(version), "onnx")
    weight.ClearField("external_data")
    weight.data_location = onnx.TensorProto.DEFAULT
    weight.raw_data = bytes(8)
    model.graph.initializer[0].CopyFrom(weight)
    (version / "model.onnx").write_bytes(model.SerializeToString())
    assert open_runner(Manifest.read(version), "onnx").labels == ("a", "b")


def test_a_document_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST", 2**20)
    (tmp_path / "metrics.json").write_text('{"schema": 1, "x": "' + "y" * 2**20 + '"}')
    with pytest.raises(UserError, match="metrics.json is damaged: it has more than 1 MiB"):
        documents.read(tmp_path / "metrics.json")

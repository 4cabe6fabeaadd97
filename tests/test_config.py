"""The config: loading, overriding, checking, dumping."""

import json
from pathlib import Path

import pytest
import yaml

from kerasnets import config as configs
from kerasnets.errors import UserError

MINIMAL = "model: {name: resnet20}\ndata: {source: digits}\n"


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)
    return path


def error(path: Path | str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        configs.load(path, overrides)
    return str(caught.value)


def test_name_defaults_to_the_file(minimal: Path) -> None:
    assert configs.load(minimal).name == "mine"


def test_precedence_is_defaults_then_yaml_then_words(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(MINIMAL + "training: {epochs: 7, batch_size: 9}\n")
    training = configs.load(path, ["training.batch_size=11"]).training
    assert (training.epochs, training.batch_size, training.momentum) == (7, 11, 0.9)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("training.learning_rate=6e-4", 6e-4),
        ("training.nesterov=on", True),
        ("training.ema=null", None),
        ("training.step_epochs=[3, 5]", (3.0, 5.0)),
        ("data.image_size=24", (24, 24)),
        ("data.image_size=[24, 32]", (24, 32)),
        ("data.channels=1", 1),
        ("export.formats=onnx", ("onnx",)),
        ("seed=3", 3),
    ],
)
def test_words_are_converted_by_declared_type(minimal: Path, word: str, value: object) -> None:
    schedule = ["training.schedule=step"] if "step_epochs" in word else []
    found: object = configs.load(minimal, [*schedule, word])
    for part in word.split("=")[0].split("."):
        found = getattr(found, part)
    assert found == value


def test_name_that_looks_like_a_number_or_a_boolean_stays_text(minimal: Path) -> None:
    assert configs.load(minimal, ["name=on"]).name == "on"
    assert configs.load(minimal, ["name=2024"]).name == "2024"


def test_all_errors_are_reported_together(minimal: Path) -> None:
    words = ["seed=-1", "model.shortct=B", "data.sauce=4", "training.optimizer=sgf", "training.epochs=x", "nam=a"]
    assert error(minimal, *words).splitlines() == [
        f"{minimal}: 6 problems in the config:",
        "  seed: found '-1', must be greater than or equal to 0",
        "  model.shortct is not an option of resnet20; did you mean 'shortcut'?",
        "  data.sauce: unknown key; did you mean 'source'?",
        "  training.epochs: found 'x', must be a valid integer, unable to parse string as an integer",
        "  training.optimizer: found 'sgf', allowed: 'sgd', 'adam' or 'adamw'; did you mean 'sgd'?",
        "  nam: unknown key; did you mean 'name'?",
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model.name=gogglenet"], "model.name is 'gogglenet', which is no model"),
        (["data.source=idx"], "data: source 'idx' needs data.path"),
        (["data.path=x"], "data: source 'digits' takes no data.path"),
        (["training.schedule=step"], "training: schedule 'step' needs step_epochs, such as [80, 120]"),
        (["training.step_epochs=[1]"], "training: step_epochs only goes with schedule 'step', not 'cosine'"),
        (
            ["training.clip_norm=1", "training.clip_value=1"],
            "training: at most one of clip_value, clip_norm, clip_global_norm may be set",
        ),
        (
            ["training.optimizer=adam", "training.nesterov=true"],
            "training: nesterov only goes with optimizer 'sgd', not 'adam'",
        ),
        (["training.warmup_epochs=30"], "training: warmup_epochs 30 leaves none of the 30 epochs"),
        (["data.augment.flip=maybe"], "data.augment.flip: found 'maybe', must be a valid boolean"),
        (["training.learning_rate=0"], "training.learning_rate: found '0', allowed: 'find' or a number above 0"),
        (["data.channels=2"], "data.channels: found '2', allowed: 1 or 3"),
        (["telemetry.profile=[25, 20]"], "telemetry.profile: first step 25 is after the last, 20"),
    ],
)
def test_error_names_key_value_and_what_is_allowed(minimal: Path, words: list[str], line: str) -> None:
    assert line in error(minimal, *words)


def test_words_that_are_not_key_value(minimal: Path) -> None:
    assert error(minimal, "epochs") == "'epochs' is not of the form key=value, such as training.epochs=3"
    assert error(minimal, "seed=2", "seed.x=1") == "'seed.x=1': seed is a value and has no keys below it"
    assert "model is a section; set one of its keys, such as model.name" in error(minimal, "model=resnet20")


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("model: {name: resnet20}\nmodel: {name: resnet32}\n")
    assert error(path) == f"{path} line 1: key 'model' stands twice"
    path.write_text("model: {name: resnet20\ndata: 1")
    assert error(path).startswith(f"{path} line 2: ")
    path.write_text("- 1\n")
    assert error(path) == f"{path}: a config is a mapping of keys to values, not list"


def test_missing_config_names_the_nearest(tmp_path: Path, minimal: Path) -> None:
    assert (
        error("digits-resnet2") == "no config file or shipped config 'digits-resnet2'; did you mean 'digits-resnet20'?"
    )
    assert error(tmp_path / "mime.yaml").endswith("; did you mean 'mine.yaml'?")
    assert f"`kerasnets init {tmp_path}`" in error(tmp_path)


@pytest.mark.parametrize("name", configs.shipped())
def test_every_shipped_config_loads_and_its_dump_loads_to_the_same(name: str, tmp_path: Path) -> None:
    config = configs.load(name)
    assert config.name == name
    dumped = tmp_path / "dumped.yaml"
    dumped.write_text(config.dump())
    assert configs.load(dumped) == config


def test_config_is_frozen(minimal: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        configs.load(minimal).seed = 3  # type: ignore[misc]


def test_update_checks_like_load(minimal: Path) -> None:
    config = configs.load(minimal)
    assert configs.update(config, data={"channels": 3}).data.channels == 3
    with pytest.raises(UserError, match=r"data\.channels: found '2', allowed: 1 or 3"):
        configs.update(config, data={"channels": 2})


def test_schema_describes_every_key_and_model_option() -> None:
    schema = configs.schema()
    json.dumps(schema)
    assert set(schema["properties"]) == set(configs.Config.model_fields)
    *families, own = schema["$defs"]["Model"]["anyOf"]
    assert own["properties"]["name"]["pattern"] == r"^[^:]+:[^:]+$|\.keras$" and own["additionalProperties"]
    names = {
        name for family in families for part in family["properties"]["name"]["anyOf"] for name in part.get("enum", [])
    }
    assert {"resnet20", "plain34", "googlenet", "lenet5"} <= names
    resnet = next(f for f in families if "resnet20" in str(f["properties"]["name"]))
    assert resnet["properties"]["shortcut"]["enum"] == ["A", "B", "C"]
    assert resnet["additionalProperties"] is False


def test_weight_decay_kind_follows_the_optimizer(minimal: Path) -> None:
    assert configs.load(minimal).training.weight_decay_kind == "l2"
    assert configs.load(minimal, ["training.optimizer=adamw"]).training.weight_decay_kind == "decoupled"


def test_dump_is_yaml_of_plain_values(minimal: Path) -> None:
    assert yaml.safe_load(configs.load(minimal).dump())["model"]["name"] == "resnet20"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("training.batch_size=auot", "found 'auot', allowed: 'auto' or a whole number above 0; did you mean 'auto'?"),
        ("training.batch_size=0", "found '0', allowed: 'auto' or a whole number above 0"),
        ("training.learning_rate=-1", "found '-1', allowed: 'find' or a number above 0"),
        ("training.max_memory=lots", "found 'lots', allowed: 'auto', 'none' or a number of gigabytes"),
        ("training.accumulate=129", "training: accumulate 129 is more than the 128 images of a batch"),
    ],
)
def test_numbers_that_may_be_words(word: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        configs.load("cifar10-resnet20", [word])
    key = word.partition("=")[0]
    assert str(raised.value).splitlines()[1] == f"  {said}" if "accumulate" in word else f"  {key}: {said}"


def test_words_are_kept_until_they_are_resolved() -> None:
    training = configs.load("digits-resnet20", ["training.batch_size=auto", "training.learning_rate=find"]).training
    assert (training.batch_size, training.learning_rate) == ("auto", "find")
    for name in ("batch", "rate"):
        with pytest.raises(UserError, match="is for `kerasnets train`, which .*; give a number here"):
            getattr(training, name)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.freez=stem", "model.freez is not an option of resnet20; did you mean 'freeze'?"),
        (
            "model.freeze=conv5",
            "model.freeze is 'conv5'; allowed: none, stem, a stage (conv1, conv2, conv3, conv4) or backbone, which is "
            "all but the head; did you mean 'conv4'?",
        ),
        ("model.thaw_after=3", "model.thaw_after has no effect with model.freeze=none"),
        (
            "training.layer_multipliers.cnv2=3",
            "training.layer_multipliers names 'cnv2', which is no stage of the model; did you mean 'conv2'?",
        ),
        ("training.layer_multipliers={stem: 0}", "training.layer_multipliers.stem: found '0', must be greater than 0"),
        ("training.layer_decay=2", "training.layer_decay: found '2', must be less than or equal to 1"),
        ("data.normalize=pretrained", "data.normalize=pretrained goes with model.pretrained, which is not given"),
    ],
)
def test_what_is_wrong_about_transfer_is_one_sentence(word: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        configs.load("digits-resnet20", [word])
    assert str(raised.value).splitlines()[1:] == [f"  {said}"]


def test_a_thaw_leaves_epochs_to_train() -> None:
    frozen = ["model.freeze=backbone", "model.thaw_after=15"]
    with pytest.raises(UserError, match=r"  model.thaw_after=15 leaves none of the 15 epochs for what is thawed$"):
        configs.load("digits-resnet20", [*frozen, "training.epochs=15"])
    assert configs.load("digits-resnet20", [*frozen, "training.epochs=16"]).model.thaw_after == 15


def test_what_is_said_of_transfer_is_no_option_of_the_model() -> None:
    words = ["model.freeze=stem", "model.thaw_after=2", "model.pretrained=runs/a", "training.layer_decay=0.5"]
    config = configs.load("digits-resnet20", [*words, "training.layer_multipliers={conv2: 0.1}"])
    assert not config.model.options.keys() & {"freeze", "thaw_after", "pretrained", "name"}
    assert (config.model.freeze, config.model.pretrained) == ("stem", Path("runs/a"))
    assert config.training.layer_multipliers == {"conv2": 0.1}
    assert configs.override(config, ["model.freeze=none", "model.thaw_after=none"]).model.freeze == "none"


def test_the_schema_has_what_is_said_of_transfer_beside_each_models_options() -> None:
    for family in configs.schema()["$defs"]["Model"]["anyOf"]:
        assert {"name", "pretrained", "freeze", "thaw_after"} <= family["properties"].keys()

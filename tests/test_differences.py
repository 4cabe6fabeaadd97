"""How a config differs from the defaults, and from others."""

from kerasnets import config as configs
from kerasnets.config.differences import ABSENT, between, flat, from_defaults


def test_from_defaults_names_what_was_set() -> None:
    plain = configs.check({"name": "x", "model": {"name": "resnet20"}, "data": {"source": "digits"}}, "test")
    assert from_defaults(plain) == []
    changed = configs.override(plain, ["training.epochs=3", "model.shortcut=B", "data.augment.random_resized_crop={}"])
    found = {row.key: row.values for row in from_defaults(changed)}
    assert found["training.epochs"] == ("3", "30")
    assert found["model.shortcut"] == ("B", "A")
    assert found["data.augment.random_resized_crop"] == (ABSENT, "null")
    assert found["data.augment.random_resized_crop.scale"] == ("[0.08, 1.0]", ABSENT)
    assert len(found) == 5


def test_between_configs_of_other_models() -> None:
    one = configs.load("digits-resnet20")
    other = configs.load("digits-resnet20", ["model.name=googlenet", "seed=1"])
    found = {row.key: row.values for row in between([one, other, one])}
    assert found["seed"] == ("0", "1", "0")
    assert found["model.shortcut"][1] == ABSENT
    assert found["model.auxiliary_weight"][0] == ABSENT
    assert "training.epochs" not in found
    assert set(flat(one)) > {"name", "training.epochs", "telemetry.every"}

"""A sample of `make proof-digits` and `make proof-fashion`."""

from pathlib import Path

import pytest
from proofs import recipes
from small_runs import QUIET, SMALL

from kerasnets import config as configs


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_are_shipped(name: str) -> None:
    assert name in configs.shipped()


@pytest.mark.slow
@pytest.mark.parametrize(("lowest", "expected"), [(0.0, True), (1.1, False)])
def test_a_recipe_holds_where_its_accuracies_are_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lowest: float, expected: bool
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(configs.load("digits-resnet20", [*SMALL, *QUIET]).dump(), encoding="utf-8")
    assert recipes.holds(str(config), recipes.Recipe(1, "validation", mean=0.0, lowest=lowest)) is expected
    said = capsys.readouterr().out
    assert "| 0 | " in said and ("DOES NOT HOLD" in said) is not expected

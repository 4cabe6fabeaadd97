"""`make proof-speed`: how fast each exported file answers, of a trained ResNet-20 and an untrained ResNet-50.

    python tests/proofs/speed.py FOLDER [--only resnet20|resnet50] [--rounds N]

Exports every format that can be written here, then runs `kerasnets benchmark model`; tables go to stdout, charts to
FOLDER. What an untrained network answers does not change what it costs; its accuracy means nothing.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
SIZE = 224


def resnet20(folder: Path) -> Path:
    """Train the shipped config on the digits for a few epochs; return the run."""
    quiet = ["telemetry.every=0", "telemetry.report=false", "telemetry.images=false", "telemetry.embeddings=0"]
    _kerasnets("train", "digits-resnet20", "training.epochs=4", *quiet, "--out", str(folder / "run"))
    return folder / "run"


def resnet50(folder: Path) -> Path:
    """Make a run of ResNet-50 at 224 pixels with initial weights; return it."""
    from photos import write_photos
    from untrained import make_run

    photos = write_photos(folder / "photos", each=10)
    return make_run(folder / "run", photos, {"name": "resnet50"}, data={"image_size": SIZE}).path


def _kerasnets(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "kerasnets", *words], check=True)


def main() -> None:
    """Do it for each network."""
    from kerasnets.artifacts.formats import FORMATS, is_installed

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=["resnet20", "resnet50"])
    parser.add_argument("--rounds", default="100")
    parser.add_argument("--formats", default=",".join(name for name, form in FORMATS.items() if is_installed(form)))
    chosen = parser.parse_args()
    networks = {"resnet20": resnet20, "resnet50": resnet50}
    for name in [chosen.only] if chosen.only else networks:
        with tempfile.TemporaryDirectory() as place:
            run, store = networks[name](Path(place)), str(Path(place) / "store")
            wanted = ["--formats", chosen.formats, "--name", name, "--force", "export.max_accuracy_drop=100"]
            _kerasnets("export", str(run), "--to", store, *wanted)
            chart = chosen.folder / f"benchmark-{name}.svg"
            _kerasnets("benchmark", "model", f"{store}/{name}", "--rounds", chosen.rounds, "--chart", str(chart))


if __name__ == "__main__":
    main()

"""The command line: subcommand -> function, and how each kind of failure ends."""

import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import click

from kerasnets import __version__
from kerasnets.commands import Commands
from kerasnets.errors import CheckFailed, Interrupted, UserError, plain

COMMANDS = {
    "init": ("kerasnets.proposal:init", "Look at a folder of images and write a config for it."),
    "train": ("kerasnets.training.command:train", "Train a config; write a run directory."),
    "evaluate": ("kerasnets.inference.command:evaluate", "Measure a run or an exported model on labelled images."),
    "report": ("kerasnets.report.command:report", "Write a run, or a comparison of runs, as one HTML page."),
    "runs": ("kerasnets.runs.command:runs", "List, compare or prune runs."),
    "export": ("kerasnets.artifacts.command:export", "Write a run's model for servers, verify and publish it."),
    "verify": ("kerasnets.artifacts.audit.command:verify", "Check an exported model, also without its run and data."),
    "store": ("kerasnets.stores.command:store", "List, show, prune or roll back exported versions."),
    "weights": ("kerasnets.artifacts.weights:weights", "Write a run's weights for torchvision, timm or Keras."),
    "predict": ("kerasnets.inference.command:predict", "Classify images with an exported model."),
    "serve": ("kerasnets.serve.command:serve", "Serve a model store over REST and gRPC."),
    "explain": ("kerasnets.inference.explain_command:explain", "Show where a model looks in images, by Grad-CAM."),
    "doctor": ("kerasnets.doctor.command:doctor", "Say what is wrong with a run, why, and what to try."),
    "models": ("kerasnets.models.command:models", "List the models; show one model's options and stages."),
    "config": ("kerasnets.config.command:config", "Print a resolved config, or the JSON schema of configs."),
    "benchmark": (
        "kerasnets.benchmark.command:benchmark",
        "Measure how fast models train and answer, or what input and telemetry cost.",
    ),
    "data": ("kerasnets.data.command:data", "Check images before training."),
    "samples": ("kerasnets.data.samples.command:samples", "Write images of a run's data set as PNG files."),
}


@click.command(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kerasnets")
def kerasnets() -> None:
    """Train image classifiers in Keras, see why a run works or fails, ship a verified model.

    Start with `kerasnets init FOLDER` on a folder of images, or `kerasnets train digits-resnet20`.
    """


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong input, 3 a check refused, 1 a fault of ours, 130 Ctrl-C,
    143 SIGTERM."""
    signal.signal(signal.SIGTERM, _end)
    try:
        code = kerasnets.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        click.echo(plain(f"Error: {error}"), err=True)
        sys.exit(2)
    except CheckFailed as error:
        click.echo(plain(f"Refused: {error}"), err=True)
        sys.exit(3)
    except Interrupted as stop:
        click.echo(plain(f"Interrupted: {stop}"), err=True)
        sys.exit(stop.code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except Exception:  # the last resort: a fault of ours, with what is needed to report it
        traceback.print_exc()
        click.echo("This is a fault in kerasnets; please report it with the text above.", err=True)
        sys.exit(1)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that processes that were started end too and half-written files go."""
    raise Interrupted(f"by {signal.Signals(number).name}", 128 + number)

"""The process of `trials.Trials`: questions on stdin, answers on stdout, a line of JSON each."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasnets import config as configs
from kerasnets.console import import_tensorflow
from kerasnets.errors import UserError
from kerasnets.training.trials import CONFIG, SKIP, SPENT

_SPARE = 0.15
"""Share of the free memory that a trial leaves alone: steps that are sampled, and hours of training, need some more."""


def _answer(directory: Path, send: Callable[[Any], None]) -> None:
    from kerasnets.data import sources
    from kerasnets.data.preprocessing import Preprocessing
    from kerasnets.training import batch_size, distribute, memory, pretrained, range_test, runtime
    from kerasnets.training.job import network, prepare

    measures: dict[str, Callable[..., None]] = {"batch_size": batch_size.measure, "range_test": range_test.measure}
    config = configs.load(directory / CONFIG)
    skip = {name: frozenset(places) for name, places in json.loads((directory / SKIP).read_text()).items()}
    dataset = sources.load(config.data, seed=config.seed)
    runtime.prepare(config.seed, config.training.threads)
    limit = memory.Limit.of(config.training.max_memory, _SPARE)
    with memory.watching(limit, lambda: os._exit(SPENT)):
        distribution = distribute.start(config.training.strategy)
        plain = network(config, dataset)
        pretrained.read(config, plain)
        job = prepare(config, dataset, skip, Preprocessing.load(directory), distribution, plain)
        for line in sys.stdin:
            question = json.loads(line)
            measures[question.pop("what")](job, send, **question)
            send(None)


def main() -> None:
    """Answer until there are no more questions."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer

    def send(answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    import_tensorflow()
    from kerasnets.training.exhausted import is_out_of_memory

    try:
        _answer(Path(sys.argv[1]), send)
    except UserError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    except Exception as error:
        if is_out_of_memory(error):
            sys.exit(SPENT)
        raise


if __name__ == "__main__":
    main()

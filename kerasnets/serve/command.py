"""`kerasnets serve`."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from kerasnets.errors import UserError
from kerasnets.serve.limits import MIB, Limits

_DEFAULT = Limits()


@click.command()
@click.argument("model_store", metavar="MODEL-STORE", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, metavar="NAME", help="Serve this one; repeatable. Default: all.")
@click.option(
    "--version",
    "versions",
    multiple=True,
    type=click.IntRange(1),
    help="Serve this version of the one --model; repeatable. Default: the highest, and new ones as they come.",
)
@click.option("--keep", default=2, show_default=True, type=click.IntRange(1), help="Versions of a model to serve.")
@click.option("--format", "form", default="onnx", show_default=True, type=click.Choice(["onnx", "onnx-int8"]))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address for both; 0.0.0.0 is every network.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="REST; 0: any free one.")
@click.option("--grpc-port", default=8081, show_default=True, type=click.IntRange(0, 65535), help="gRPC.")
@click.option(
    "--max-batch", default=_DEFAULT.batch, show_default=True, type=click.IntRange(1), help="Images computed together."
)
@click.option(
    "--batch-delay",
    default=_DEFAULT.delay * 1000,
    show_default=True,
    type=click.FloatRange(0, 10_000),
    help="Milliseconds an image waits for others of its size while nothing else is computed.",
)
@click.option(
    "--max-body", default=_DEFAULT.body // MIB, show_default=True, type=click.IntRange(1, 2047), help="MiB a request."
)
@click.option(
    "--max-json", default=_DEFAULT.json // MIB, show_default=True, type=click.IntRange(1), help="MiB of JSON in it."
)
@click.option("--max-images", default=_DEFAULT.images, show_default=True, type=click.IntRange(1), help="In a request.")
@click.option(
    "--max-pixels", default=_DEFAULT.pixels, show_default=True, type=click.IntRange(1), help="Height x width of one."
)
@click.option(
    "--max-queue", default=_DEFAULT.queue, show_default=True, type=click.IntRange(1), help="Images that wait, in all."
)
@click.option(
    "--max-memory",
    default=_DEFAULT.memory // MIB,
    show_default=True,
    type=click.IntRange(1),
    help="MiB of bodies and decoded images held at a time.",
)
@click.option(
    "--max-connections", default=_DEFAULT.connections, show_default=True, type=click.IntRange(1), help="At a time."
)
@click.option(
    "--timeout",
    default=_DEFAULT.seconds,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    help="Seconds for a request's headers, for its body, and for the answer.",
)
@click.option(
    "--linger",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help=("Seconds to go on taking requests after SIGTERM, not ready any more, until load balancers have noticed."),
)
@click.option(
    "--poll",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.05, 3600),
    help="Seconds between looks at the store.",
)
def serve(
    model_store: Path,
    models: tuple[str, ...],
    versions: tuple[int, ...],
    keep: int,
    form: str,
    host: str,
    port: int,
    grpc_port: int,
    max_batch: int,
    batch_delay: float,
    max_body: int,
    max_json: int,
    max_images: int,
    max_pixels: int,
    max_queue: int,
    max_memory: int,
    max_connections: int,
    timeout: float,
    linger: float,
    poll: float,
) -> None:
    """Serve the models of MODEL-STORE: TensorFlow Serving's REST protocol, the Open Inference Protocol (REST, gRPC).

    New versions are picked up while it runs. There is no encryption and no login: put a proxy in front before you name
    another --host. SIGTERM and Ctrl-C end it after the requests that are there (exit code 143, 130).
    """
    if versions and len(models) != 1:
        raise UserError("--version goes with one --model NAME")
    if port and port == grpc_port:
        raise UserError(f"--port and --grpc-port are both {port}; each needs its own")
    if max_images > max_queue:
        raise UserError(f"--max-images {max_images} is more than --max-queue {max_queue}: it would never be answered")
    if max_body > max_memory:
        raise UserError(f"--max-body {max_body} is more than --max-memory {max_memory}: it would never be answered")
    limits = Limits(
        body=max_body * MIB,
        json=max_json * MIB,
        pixels=max_pixels,
        images=max_images,
        batch=max_batch,
        delay=batch_delay / 1000,
        queue=max_queue,
        memory=max_memory * MIB,
        connections=max_connections,
        seconds=timeout,
    )
    with _sdk():
        from kerasnets.serve.server import Settings, run
        from kerasnets.serve.watching import Choice
    run(Settings(Choice(model_store, models, versions, keep, form), host, port, grpc_port, limits, linger, poll))


@contextmanager
def _sdk() -> Iterator[None]:
    """Import KServe's SDK in the block: it reads the command line when it is imported, and this one is not for it."""
    if importlib.util.find_spec("kserve") is None:
        raise UserError("kerasnets serve needs kserve; install it with: pip install 'kerasnets[serve]'")
    words, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = words

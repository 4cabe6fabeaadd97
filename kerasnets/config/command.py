"""`kerasnets config`."""

import json

import click

from kerasnets import config as configs
from kerasnets.console import emit_json


@click.command()
@click.argument("name", metavar="CONFIG|schema", required=False)
@click.argument("overrides", metavar="[key=value …]", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def config(name: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print a resolved config, every default filled in; `schema`: the JSON schema for editors.

    Without an argument, list the shipped configs.
    """
    if name is None:
        names = configs.shipped()
        if as_json:
            emit_json({"schema": 1, "configs": {key: str(path) for key, path in names.items()}})
        else:
            click.echo("\n".join(names))
        return
    if name.lower() == "schema":
        click.echo(json.dumps(configs.schema(), indent=2))
        return
    resolved = configs.load(name, overrides)
    if as_json:
        emit_json({"schema": 1, "config": resolved.model_dump(mode="json")})
    else:
        click.echo(resolved.dump(), nl=False)

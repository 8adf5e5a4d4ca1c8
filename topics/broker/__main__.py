"""Run the embedded Kafka.

python -m topics.broker run --dir DIR [--port 9092] [--set NAME=VALUE …]
python -m topics.broker fetch
"""

import sys
from pathlib import Path

import click

from topics.broker import process
from topics.broker.java import CannotRunError, jars, java


@click.group()
def main() -> None:
    """Run the embedded Kafka."""


@main.command()
def fetch() -> None:
    """Fetch and verify Java and the jars."""
    click.echo(f"{java()}\n{jars()}")


@main.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), required=True)
@click.option("--port", type=int, default=9092, show_default=True)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME=VALUE",
    help="A Kafka setting that overrides server.properties.",
)
def run(directory: Path, port: int, overrides: tuple[str, ...]) -> None:
    """Run a broker in the foreground."""
    process.run(directory, port, overrides)


if __name__ == "__main__":
    try:
        main(prog_name="python -m topics.broker")
    except CannotRunError as error:
        sys.exit(f"kafka: {error}")

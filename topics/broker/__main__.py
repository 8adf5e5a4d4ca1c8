"""Run the embedded Kafka.

python -m topics.broker run --dir DIR [--port 9092] [--controller-port 9093]
    [--set NAME=VALUE …]
python -m topics.broker fetch
"""

import argparse
import sys
from pathlib import Path

from topics.broker.config import BrokerLayout, run
from topics.broker.java import CannotRunError, jars, java


def main() -> int:
    """Run the command; return 1, with a line on standard error, if it fails."""
    parser = argparse.ArgumentParser(prog="python -m topics.broker")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch and check Java and the jars")
    broker = commands.add_parser("run", help="run a broker in the foreground")
    broker.add_argument("--dir", type=Path, required=True)
    broker.add_argument("--port", type=int, default=9092)
    broker.add_argument("--controller-port", type=int)
    override = "a Kafka setting that overrides server.properties"
    broker.add_argument("--set", action="append", default=[], help=override)
    args = parser.parse_args()
    try:
        if args.command == "fetch":
            print(f"{java()}\n{jars()}")  # noqa: T201
        else:
            controller = args.controller_port or args.port + 1
            run(BrokerLayout(args.dir, args.port, controller, tuple(args.set)))
    except CannotRunError as error:
        print(f"kafka: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Show Kafka to a browser on this machine: the cluster of the shop.

    python -m agents ui [--port PORT]

Topics, their newest records with keys, headers and values, tables' changelogs included;
and a form that sends a request by hand. Nothing is committed, no group is joined. Ctrl-C
ends it.

Exit code: 0 it was ended; 1 Kafka is not there, or the port is taken; 2 wrong usage.
"""

import argparse
import logging
from collections.abc import Sequence
from functools import partial

from aiohttp import web

from agents.ops.cli import OK, CommandError, echo, on, run
from agents.ops.options import parser_of, positive
from topics.broker.config import is_free
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.ui.app import application

_PORT = 8088
_LAST_PORT = 65535


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    parser = parser_of("ui", __doc__)
    parser.add_argument("--port", type=_port, default=_PORT, help=f"of 127.0.0.1 ({_PORT})")
    return run("ui", partial(_serve, parser.parse_args(words)))


def _serve(asked: argparse.Namespace, target: Target) -> int:
    cluster = target.cluster
    if not is_free(asked.port):
        raise CommandError(
            f"port {asked.port} is taken by another program;"
            " --port, or KAFKA_UI_PORT with make, chooses another one"
        )
    on(target, _look)
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    where = f"Kafka at {cluster.kafka}: http://127.0.0.1:{asked.port} (Ctrl-C ends it)"
    web.run_app(
        application(cluster),
        host="127.0.0.1",
        port=asked.port,
        print=lambda _: echo(where),  # once it listens
        access_log=None,
    )
    return OK


def _port(text: str) -> int:
    port = positive(int)(text)
    if port > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to {_LAST_PORT}")
    return port


async def _look(cluster: KafkaSettings) -> None:
    """Make sure that Kafka is there; raises whatever says why not."""
    async with TopicReader(cluster):
        pass

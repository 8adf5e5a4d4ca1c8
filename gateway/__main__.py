"""Run a gateway, or prepare one.

    python -m gateway                        serve, as the environment says
    python -m gateway check                  name the settings that make no sense
    python -m gateway token ROLE [COMMENT]   make a token of a role

`token` prints the line for the file of `GATEWAY_TOKENS` to the standard output, and the
token itself to the standard error, so that `>> FILE` adds the line and leaves the token.

Exit code: 0 it is done; 1 it can't be served; 2 a setting or the usage is wrong.
"""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Sequence

import uvloop
from pydantic import ValidationError

from gateway.app import Gateway
from gateway.authorization import authorizer_of
from gateway.body import BodyReader
from gateway.docs.pages import pages
from gateway.kafka.correlator import Correlator
from gateway.kafka.request_reply import RequestReplyClient
from gateway.server import serving
from gateway.settings import Settings
from gateway.tokens import BadTokenFileError, Role, line, new_token
from topics.files import raise_file_limit
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.telemetry import tracing
from topics.telemetry.logging import configure

log = logging.getLogger("gateway")


async def run(settings: Settings, cluster: KafkaSettings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    patience = settings.reply_timeout
    correlator = Correlator(settings.max_in_flight, patience)
    bus = RequestReplyClient(cluster.client_options(), settings.gateway_index, correlator)
    intake = BodyReader(settings.max_in_flight, patience)
    shown = pages(cluster, is_locked=settings.gateway_tokens is not None)
    authorizer = authorizer_of(settings.gateway_tokens)
    gateway = Gateway(bus, intake, shown, authorizer)
    async with asyncio.TaskGroup() as group:
        connected = group.create_task(bus.run())
        async with serving(gateway, settings):
            await stop.wait()
        connected.cancel()
    log.info("event=stopped")


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_serve)
    commands = parser.add_subparsers(metavar="COMMAND")
    commands.add_parser("check").set_defaults(command=_check)
    token = commands.add_parser("token")
    token.set_defaults(command=_make_token)
    token.add_argument("role", metavar="ROLE", choices=[*Role], help=", ".join(Role))
    token.add_argument("comment", metavar="COMMENT", nargs="*", default=[])
    asked = parser.parse_args(words)
    command: Callable[[argparse.Namespace], int] = asked.command
    return command(asked)


def _make_token(asked: argparse.Namespace) -> int:
    token = new_token()
    print(line(token, Role(asked.role), " ".join(asked.comment)), flush=True)  # noqa: T201
    print(token, file=sys.stderr)  # noqa: T201
    return 0


def _check(_asked: argparse.Namespace) -> int:
    return 0 if _settings(lambda text: print(text, file=sys.stderr)) else 2  # noqa: T201


def _settings(report: Callable[[str], None]) -> tuple[Settings, KafkaSettings] | None:
    """Read the settings; report a line for each that makes no sense."""
    try:
        return Settings(), KafkaSettings()
    except ValidationError as wrong:
        for text in format_settings_errors(wrong):
            report(text)
    return None


def _serve(_asked: argparse.Namespace) -> int:
    configure("gateway")
    raise_file_limit()
    tracing.start("gateway")
    settings = _settings(log.critical)
    if settings is None:
        return 2
    status = 0
    gc.freeze()  # what is there by now stays: no collection need look at it again
    try:
        uvloop.run(run(*settings))
    except* (OSError, KafkaAuthenticationError, BadTokenFileError) as errors:
        log.critical("event=cannot-serve error=%r", str(_first(errors)))
        status = 1
    return status


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

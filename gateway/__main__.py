"""Run a gateway, check its settings, or make a token.

    python -m gateway                        serve, with the settings of the environment
    python -m gateway check                  print the invalid settings
    python -m gateway token ROLE [COMMENT]   make a token of a role

`token` prints the line for the file of `GATEWAY_TOKENS` to standard output, and the token
itself to standard error, so that `>> FILE` adds the line only.

Exit code: 0 success; 1 the gateway can't serve; 2 invalid setting or usage.
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
    """Serve until SIGTERM or SIGINT, then finish the calls in flight."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    timeout = settings.reply_timeout
    correlator = Correlator(settings.max_in_flight, timeout)
    client = RequestReplyClient(
        cluster.client_options(), settings.gateway_index, correlator
    )
    gateway = Gateway(
        client,
        BodyReader(settings.max_in_flight, timeout),
        pages(cluster, is_locked=settings.gateway_tokens is not None),
        authorizer_of(settings.gateway_tokens),
    )
    async with asyncio.TaskGroup() as group:
        connected = group.create_task(client.run())
        async with serving(gateway, settings):
            await stop.wait()
        connected.cancel()
    log.info("event=stopped")


def main(arguments: Sequence[str]) -> int:
    """Run the command of the command line; return the exit code."""
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
    args = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = args.command
    return command(args)


def _make_token(args: argparse.Namespace) -> int:
    token = new_token()
    print(line(token, Role(args.role), " ".join(args.comment)), flush=True)  # noqa: T201
    print(token, file=sys.stderr)  # noqa: T201
    return 0


def _check(_args: argparse.Namespace) -> int:
    return 0 if _settings(lambda text: print(text, file=sys.stderr)) else 2  # noqa: T201


def _settings(report: Callable[[str], None]) -> tuple[Settings, KafkaSettings] | None:
    """Read the settings; report a line for each invalid one."""
    try:
        return Settings(), KafkaSettings()
    except ValidationError as error:
        for text in format_settings_errors(error):
            report(text)
    return None


def _serve(_args: argparse.Namespace) -> int:
    configure("gateway")
    raise_file_limit()
    tracing.start("gateway")
    settings = _settings(log.critical)
    if settings is None:
        return 2
    status = 0
    gc.freeze()  # objects of the start live as long as the process: never collected
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

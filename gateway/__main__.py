"""Run a gateway, or prepare one.

    python -m gateway                        serve, with settings of the environment
    python -m gateway check                  name invalid settings
    python -m gateway token ROLE [COMMENT]   make a token of a role

`token` prints the line for the file of `GATEWAY_TOKENS` to standard output, and the token
itself to standard error: `>> FILE` adds the line, and the terminal shows the token.

Exit code: 0 done; 1 the gateway can't serve; 2 a setting or the usage is wrong.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from functools import partial

import click
import uvloop
from pydantic import ValidationError

from gateway.app import Gateway
from gateway.pages import pages
from gateway.request_reply import RETRY, RequestReplyClient
from gateway.server import serving
from gateway.settings import Settings
from gateway.tokens import Role, line, new_token
from topics.cli import FAILED, HELP, MISUSED, OK, paragraphs, raise_file_limit
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.kafka.topic_admin import TopicsError
from topics.layout import UnfinishedError, require_finished
from topics.telemetry import tracing
from topics.telemetry.logging import configure

log = logging.getLogger("gateway")


async def run(settings: Settings, cluster: KafkaSettings) -> None:
    """Serve until SIGTERM or SIGINT, then finish requests in flight."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = RequestReplyClient(cluster.client_options(), settings)
    shown = pages(cluster, is_locked=settings.gateway_tokens is not None)
    async with asyncio.TaskGroup() as group:
        connected = group.create_task(client.run())
        checked = group.create_task(_require_finished(cluster))
        async with serving(Gateway(client, shown, settings), settings):
            await stop.wait()
        connected.cancel()
        checked.cancel()
    log.info("event=stopped")


async def _require_finished(cluster: KafkaSettings) -> None:
    """End the gateway if a repartition is unfinished, once Kafka answers.

    Raises:
        UnfinishedError: it is.
    """
    while True:
        try:
            await require_finished(cluster)
        except UnfinishedError:
            raise
        except TopicsError as error:
            log.debug("event=layout-unknown reason=%r", str(error))
        else:
            return
        await asyncio.sleep(RETRY.total_seconds())


@click.group(help=paragraphs(__doc__), invoke_without_command=True, context_settings=HELP)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve, unless there is a command."""
    if context.invoked_subcommand is None:
        _serve()


@main.command("token", help="Make a token of a role.")
@click.argument("role", type=click.Choice([*map(str, Role)]))
@click.argument("comment", nargs=-1)
def _make_token(role: str, comment: tuple[str, ...]) -> None:
    token = new_token()
    click.echo(line(token, Role(role), " ".join(comment)))
    click.echo(token, err=True)


@main.command("check", help="Name invalid settings.")
def _check() -> None:
    _settings(partial(click.echo, err=True))


def _settings(report: Callable[[str], None]) -> tuple[Settings, KafkaSettings]:
    """Return the settings; report a line for each invalid one and exit."""
    try:
        return Settings(), KafkaSettings()
    except ValidationError as invalid:
        for text in format_settings_errors(invalid):
            report(text)
        sys.exit(MISUSED)


def _serve() -> None:
    configure("gateway")
    raise_file_limit()
    tracing.start("gateway")
    settings, cluster = _settings(log.critical)
    gc.freeze()  # objects of the start stay: collections skip them
    code = OK
    try:
        uvloop.run(run(settings, cluster))
    except* (OSError, KafkaAuthenticationError, UnfinishedError) as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.critical("event=cannot-serve error=%r", str(error))
        code = FAILED
    sys.exit(code)


if __name__ == "__main__":
    main(prog_name="python -m gateway")

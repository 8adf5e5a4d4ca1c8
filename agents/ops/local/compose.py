"""The shop in containers, on a machine with a Docker engine."""

import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace

from agents.ops.local.deployment import (
    COUNTS,
    PARTITIONS_FILE,
    REPOSITORY,
    Deployment,
    delete_state,
    from_environment,
    load,
    output_of,
    save,
    settings,
)
from topics.cli import CommandError, echo, step

_ENGINE_SECONDS = 5.0
_MOST_GATEWAYS = 4  # each has its own port, so it is a service of its own
_ROW = (
    '{{index .Config.Labels "com.docker.compose.service"}}'
    ' {{index .Config.Labels "com.docker.compose.container-number"}}'
    " {{.State.Pid}} {{.State.Status}}"
)
_SCALED = {"checkout", "loms", "products", "notifications", "gateway"}
_READINESS = ("exec", "-T", "notifications", "python", "-m", "agents.ops.local.readiness")


def is_chosen() -> bool:
    """Return whether the shop is to run in containers.

    The Docker engine and compose must answer; many machines have only a client. `SHOP_WAY`,
    native or compose, overrides the check.
    """
    way = os.environ.get("SHOP_WAY")
    if way or not shutil.which("docker"):
        return way == "compose"
    try:
        for words in (("docker", "info"), ("docker", "compose", "version")):
            subprocess.run(words, capture_output=True, check=True, timeout=_ENGINE_SECONDS)
    except subprocess.SubprocessError:
        return False
    return True


def in_containers(shop: Deployment) -> Deployment:
    """Return the shop as this module takes it, with a state file of its own."""
    return replace(shop, directory=shop.directory / "compose")


def up(shop: Deployment) -> None:
    """Start the shop, unless it runs; a failed first start leaves no container."""
    saved = load(shop.directory)
    given = settings(os.environ)
    if saved:
        given = saved[1] | given
        kept = {name: getattr(saved[0], name) for name in ("directory", *COUNTS)}
        shop = replace(from_environment({**os.environ, **given}), **kept).scaled(os.environ)
    try:
        _bring_up(shop, given)
    except BaseException:
        if not saved:
            down(shop)
        raise
    echo(
        "",
        "The shop is open, in containers.",
        f"  gateway         {shop.gateway_scheme}://127.0.0.1:{shop.gateway_port}",
        f"  Kafka           {shop.bootstrap}",
        "  Kafka UI        http://127.0.0.1:8088",
        "  mail            http://127.0.0.1:8025",
        "Try: make demo · make ps · make logs · make scale LOMS_WORKERS=2 · make down",
    )


def scale(shop: Deployment) -> None:
    """Change the numbers of containers that the environment names."""
    if saved := load(shop.directory):
        _bring_up(saved[0].scaled(os.environ), saved[1], "--no-build")
    ps(shop)


def stop_services(shop: Deployment) -> None:
    """Stop all containers except Kafka and what does not use it."""
    _compose(shop, {}, "stop", *sorted(_SCALED - {"gateway"}), *_gateways(shop))


def restart(shop: Deployment, given: dict[str, str]) -> None:
    """Start the containers again, with another number of partitions."""
    _bring_up(shop, given, "--no-build")


def down(shop: Deployment, *options: str) -> None:
    """Stop all containers; keep the volumes."""
    _compose(shop, {}, "down", "--remove-orphans", *options)
    delete_state(shop.directory)


def clean(shop: Deployment) -> None:
    """Stop all containers; remove the volumes."""
    down(shop, "--volumes")
    (shop.directory.parent / PARTITIONS_FILE).unlink(missing_ok=True)


def ps(_shop: Deployment) -> None:
    """Print each container: name, process id, state."""
    ids = output_of("docker", "compose", "ps", "-q").split()
    rows = output_of("docker", "inspect", "--format", _ROW, *ids) if ids else ""
    for service, number, pid, state in map(str.split, rows.splitlines()):
        name = f"{service}-{number}" if service in _SCALED else service
        echo(f"{name} {pid} {state.upper()}")


def logs(shop: Deployment) -> None:
    """Follow the logs of all containers."""
    _compose(shop, {}, "logs", "--follow", "--tail", "20")


def _bring_up(shop: Deployment, given: dict[str, str], *options: str) -> None:
    if shop.gateways > _MOST_GATEWAYS:
        raise CommandError(f"in containers there are {_MOST_GATEWAYS} gateways at most")
    save(replace(shop, gateway_host=""), given)  # the port is open on loopback
    scales = (f"checkout={shop.checkout_workers}", f"loms={shop.loms_workers}")
    options += tuple(word for scale in scales for word in ("--scale", scale))
    echo("  images and containers:")
    try:
        _compose(shop, given, "up", "-d", "--wait", "--remove-orphans", *options)
    except CommandError:
        # Compose does not show why this container refused the start.
        with suppress(CommandError):
            _compose(shop, given, "logs", "--no-log-prefix", "--tail", "3", "topics")
        raise
    with step("until the owner of each partition answers"):
        urls = (f"{shop.gateway_scheme}://{name}:8080" for name in _gateways(shop))
        _compose(shop, given, *_READINESS, "--marks", "/var/lib/shop", *urls)


def _gateways(shop: Deployment) -> list[str]:
    return ["gateway", *(f"gateway-{n}" for n in range(2, shop.gateways + 1))]


def _profiles(shop: Deployment) -> str:
    """Return the profiles of docker-compose.yml that this shop needs."""
    needed = _gateways(shop)[1:]
    needed += [] if shop.kafka else ["kafka"]
    needed += [] if shop.product_service else ["product-service"]
    return ",".join(needed)


def _compose(shop: Deployment, given: dict[str, str], *arguments: str) -> None:
    # `down` stops the containers of all profiles.
    profiles = "*" if arguments[0] == "down" else _profiles(shop)
    own = {"COMPOSE_PROFILES": profiles, "PARTITIONS": str(shop.partitions)}
    environment = {**os.environ, **given, **own}
    command = ("docker", "compose", *arguments)
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    if ran.returncode:
        raise CommandError(f"docker compose {arguments[0]} failed")

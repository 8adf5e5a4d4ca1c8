"""Settings that make no sense, told before anything is stopped or started for them."""

import subprocess
import sys
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from agents.loms.settings import LomsSettings
from agents.notifications.settings import NotificationSettings
from agents.ops.local.deployment import REPOSITORY, ShopError
from agents.products.settings import ProductSettings
from agents.worker.settings import WorkerSettings

_KINDS: tuple[type[BaseSettings], ...] = (
    WorkerSettings,
    LomsSettings,
    ProductSettings,
    NotificationSettings,
)


def validate_settings(settings: Mapping[str, str]) -> None:
    """Look at what workers will be told.

    Raises:
        ShopError: it makes no sense; the message names each such variable.
    """
    told = {name.lower(): value for name, value in settings.items()}
    wrong = [line for kind in _KINDS for line in _complaints(kind, told)]
    if wrong:
        raise ShopError("; ".join(dict.fromkeys(wrong)))


def require_sound_gateway(environment: Mapping[str, str]) -> None:
    """Have a gateway look at its settings; agents import nothing of it.

    Raises:
        ShopError: they make no sense; the message has its lines.
    """
    ran = subprocess.run(
        (sys.executable, "-m", "gateway", "check"),
        cwd=REPOSITORY,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise ShopError(f"the gateway: {ran.stderr.strip()}")


def _complaints(kind: type[BaseSettings], told: Mapping[str, str]) -> list[str]:
    try:
        kind.model_validate({n: told[n] for n in kind.model_fields if n in told})
    except ValidationError as wrong:
        # What was given is not repeated: it may be a password.
        errors = wrong.errors(include_input=False)
        return [f"{'.'.join(map(str, e['loc'])).upper()}: {_why(e)}" for e in errors]
    return []


def _why(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"

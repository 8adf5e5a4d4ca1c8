"""Validation of settings before a start, while the old shop still runs."""

import subprocess
import sys
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from agents.loms.payment_deadlines import LomsSettings
from agents.notifications.settings import NotificationSettings
from agents.ops.local.deployment import REPOSITORY, ShopError
from agents.products.settings import ProductSettings
from agents.worker.settings import WorkerSettings

_SETTINGS: tuple[type[BaseSettings], ...] = (
    WorkerSettings,
    LomsSettings,
    ProductSettings,
    NotificationSettings,
)


def validate_settings(settings: Mapping[str, str]) -> None:
    """Validate the settings of workers.

    Raises:
        ShopError: a setting is invalid; the message names each such variable.
    """
    values = {name.lower(): value for name, value in settings.items()}
    errors = [line for kind in _SETTINGS for line in _errors(kind, values)]
    if errors:
        raise ShopError("; ".join(dict.fromkeys(errors)))


def validate_gateway(environment: Mapping[str, str]) -> None:
    """Run the gateway's check of its settings; agents can't import the gateway.

    Raises:
        ShopError: a setting is invalid; the message has the lines of the check.
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


def _errors(kind: type[BaseSettings], values: Mapping[str, str]) -> list[str]:
    try:
        kind.model_validate({n: values[n] for n in kind.model_fields if n in values})
    except ValidationError as invalid:
        # The message must not repeat the value, which may be a password.
        errors = invalid.errors(include_input=False)
        return [f"{'.'.join(map(str, e['loc'])).upper()}: {_reason(e)}" for e in errors]
    return []


def _reason(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"

"""Settings of LOMS, from the environment."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.order import MAX_TIMEOUT_SECONDS


class LomsSettings(BaseSettings):
    """The time to pay. An empty variable counts as unset.

    Attributes:
        payment_timeout_seconds: how long an order may await payment.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    payment_timeout_seconds: int = Field(default=600, ge=0, le=MAX_TIMEOUT_SECONDS)

    @property
    def time_to_pay(self) -> timedelta:
        """The same as a duration."""
        return timedelta(seconds=self.payment_timeout_seconds)

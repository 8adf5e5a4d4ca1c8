"""What the environment decides about a gateway."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """One gateway among others, which share nothing but Kafka.

    Attributes:
        gateway_port: 0 takes any free port; the log says which.
        gateway_index: which partition of the reply topic is ours, modulo their number.
        max_in_flight: calls that wait for a reply, and bodies still arriving, at most.
    """

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, lt=2**16)
    gateway_index: int = Field(default=0, ge=0)
    reply_timeout_seconds: float = Field(default=10.0, gt=0, le=3600)
    max_in_flight: int = Field(default=2000, ge=1)

    @property
    def patience(self) -> timedelta:
        """How long a caller waits for a reply, and we for a body."""
        return timedelta(seconds=self.reply_timeout_seconds)

"""The settings of ProductService's client, from the environment."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# The addresses of the stand-in, natively and in compose; others are external.
_STAND_INS = ("127.0.0.1", "localhost", "product-service")

PUBLIC_CALLS_PER_SECOND = 10.0  # the limit of the public ProductService


class ProductSettings(BaseSettings):
    """The client's limits. An empty variable counts as not set.

    Attributes:
        product_service: host:port; plaintext gRPC.
        product_deadline_seconds: limit of one call.
        product_budget_seconds: limit of a whole cart, with retries and waiting; well
            below the gateway's `REPLY_TIMEOUT_SECONDS`.
        product_attempts: limit of the calls for one sku.
        product_parallelism: limit of the calls in flight.
        product_rate_limit: calls a second, 0 without a limit; unset, the stand-in has no
            limit and any other service has that of the public one.
        product_burst: concurrent calls under a rate limit.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    product_service: str = "127.0.0.1:8082"
    product_token: SecretStr = SecretStr("testtoken")
    product_deadline_seconds: Annotated[float, Field(gt=0)] = 1.0
    product_budget_seconds: Annotated[float, Field(gt=0)] = 5.0
    product_attempts: Annotated[int, Field(ge=1)] = 5
    product_parallelism: Annotated[int, Field(ge=1)] = 32
    product_rate_limit: Annotated[float, Field(ge=0)] | None = None
    product_burst: Annotated[int, Field(ge=1)] = 5

    @property
    def calls_per_second(self) -> float:
        """The rate limit in force; 0 is none."""
        if self.product_rate_limit is not None:
            return self.product_rate_limit
        host = self.product_service.rpartition(":")[0]
        return 0.0 if host in _STAND_INS else PUBLIC_CALLS_PER_SECOND

    @property
    def max_concurrency(self) -> int:
        """The parallelism in force; under a rate limit no more than the burst."""
        if not self.calls_per_second:
            return self.product_parallelism
        return min(self.product_parallelism, self.product_burst)

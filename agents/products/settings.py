"""How ProductService is reached, and how much is asked of it (from the environment)."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# The stand-in's addresses, natively and in compose; any other is somebody else's.
_OUR_OWN = ("127.0.0.1", "localhost", "product-service")

PUBLIC_CALLS_PER_SECOND = 10.0  # what the public ProductService asks for


class ProductSettings(BaseSettings):
    """The client's limits. An empty variable counts as not set.

    Attributes:
        product_service: host:port; plaintext gRPC.
        product_token: goes into every message.
        product_deadline_seconds: for one call.
        product_budget_seconds: for a whole cart, retries and waiting included; well
            within the gateway's `REPLY_TIMEOUT_SECONDS`.
        product_attempts: how often one sku is asked for at most.
        product_parallelism: calls under way at once.
        product_rate_limit: calls a second, 0 for as many as there are; unset, the
            stand-in is asked without a limit and any other service as the public one is.
        product_burst: calls at once under a rate limit.
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
        """The rate limit that holds; 0 is none."""
        if self.product_rate_limit is not None:
            return self.product_rate_limit
        host = self.product_service.rpartition(":")[0]
        return 0.0 if host in _OUR_OWN else PUBLIC_CALLS_PER_SECOND

    @property
    def calls_at_once(self) -> int:
        """The parallelism that holds; under a rate limit no more than the burst."""
        if not self.calls_per_second:
            return self.product_parallelism
        return min(self.product_parallelism, self.product_burst)

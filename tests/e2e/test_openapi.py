"""What the gateway answers is what its OpenAPI document says, whatever it is sent."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings

from gateway.openapi import document
from tests.e2e.guarded import GuardedShop

EXAMPLES = 20  # of each call
WITHIN_SECONDS = 90

# Valid, and refused: by what an order, a cart or a key stands for.
BY_ITS_STATE = ["2xx", 404, 409, 422, "5xx"]
ALL_CHECKS = schemathesis.Config.from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": BY_ITS_STATE}}}
)

DOCUMENT = schemathesis.openapi.from_dict(document(), config=ALL_CHECKS)


@DOCUMENT.hook
def map_body(_: schemathesis.HookContext, body: Any) -> Any:
    """Write whole numbers as the shop wants them: to a JSON schema 1.0 is an integer."""
    match body:
        case float() if body.is_integer():
            return int(body)
        case dict():
            return {name: map_body(_, value) for name, value in body.items()}
        case list():
            return [map_body(_, value) for value in body]
    return body


@DOCUMENT.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_each_response_conforms_to_the_document(
    case: schemathesis.Case, guarded: GuardedShop
):
    # Not in the shop of all tests: some of them want their sku 0 without 2^64-1 pieces.
    case.call_and_validate(base_url=guarded.gateways[0], timeout=WITHIN_SECONDS)

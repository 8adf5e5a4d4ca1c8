"""What the gateway answers is what its OpenAPI document says, whatever it is sent."""

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi import document
from tests.e2e.guarded import GuardedShop

EXAMPLES = 20  # of each call
WITHIN_SECONDS = 90

CONFORMS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

DOCUMENT = schemathesis.openapi.from_dict(document())


@DOCUMENT.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_each_answer_conforms_to_the_document(
    case: schemathesis.Case, guarded: GuardedShop
):
    # Not in the shop of all tests: some of them want their sku 0 without 2^64-1 pieces.
    answer = case.call(base_url=guarded.gateways[0], timeout=WITHIN_SECONDS)
    assert answer.status_code != 500
    case.validate_response(answer, checks=CONFORMS)

"""How to reach Kafka: what goes together, and what is never repeated."""

import pytest
from pydantic import ValidationError

from topics.cluster import Cluster

LOGIN = {"kafka_sasl_username": "me", "kafka_sasl_password": "not to be seen"}


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_password_that_would_go_unused_is_refused_and_not_repeated(protocol: str):
    with pytest.raises(ValidationError) as wrong:
        Cluster(kafka_security_protocol=protocol, **LOGIN)
    assert "go together" in str(wrong.value)
    assert "not to be seen" not in str(wrong.value)


@pytest.mark.parametrize("missing", LOGIN)
def test_a_login_without_a_name_or_a_password_is_refused(missing: str):
    given = {name: value for name, value in LOGIN.items() if name != missing}
    with pytest.raises(ValidationError) as wrong:
        Cluster(kafka_security_protocol="SASL_SSL", **given)
    assert "not to be seen" not in str(wrong.value)


def test_a_login_reaches_every_client_and_names_of_brokers_are_checked():
    options = Cluster(kafka_security_protocol="SASL_SSL", **LOGIN).client_options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "me"
    assert options["sasl_plain_password"] == "not to be seen"
    assert options["ssl_context"].check_hostname


def test_what_a_cluster_says_of_itself_holds_no_password():
    assert "not to be seen" not in repr(
        Cluster(kafka_security_protocol="SASL_SSL", **LOGIN)
    )

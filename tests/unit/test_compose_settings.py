"""docker-compose.yml hands on every setting that a process reads."""

import re
from pathlib import Path

import pytest

from agents.settings import LomsSettings, NotificationSettings, ProductSettings
from gateway.settings import Settings
from topics.kafka.settings import KafkaSettings

COMPOSE = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
OTEL = ("EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_HEADERS", "TRACES_SAMPLER")
READ = (KafkaSettings, LomsSettings, NotificationSettings, ProductSettings, Settings)
FIELDS = {
    name.upper()
    for settings in READ
    for name in settings.model_fields
    if name != "gateway_index"  # each gateway has its own
}


@pytest.mark.parametrize("name", sorted(FIELDS | {f"OTEL_{name}" for name in OTEL}))
def test_a_setting_is_handed_on_to_containers(name: str):
    assert re.search(rf"^\s+{name}:", COMPOSE, re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    ["WEBHOOK_URL", "WEBHOOK_SECRET", "NOTIFY_TO", "KAFKA_SASL_PASSWORD"],
)
def test_what_may_have_a_dollar_in_it_is_handed_on_without_interpolation(name: str):
    assert re.search(rf"^\s+{name}:$", COMPOSE, re.MULTILINE)

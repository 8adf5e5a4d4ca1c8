"""What `make` reads from the environment, and the processes that follow from it."""

import json
from pathlib import Path

import pytest

from agents.ops.local.deployment import (
    Deployment,
    delete_state,
    from_environment,
    load,
    save,
    settings,
)
from agents.ops.local.native import processes
from agents.ops.local.processes import Tier
from topics.cli import CommandError


def test_without_an_environment_there_is_one_of_each():
    shop = from_environment({})
    assert [one.name for one in processes(shop)] == [
        "kafka",
        "product-service",
        "products-1",
        "notifications-1",
        "loms-1",
        "checkout-1",
        "gateway-1",
    ]
    assert shop.gateway_ports == [8080]


def test_gateways_step_around_the_ports_of_others():
    shop = from_environment({"GATEWAYS": "8"})
    assert shop.gateway_ports == [8080, 8081, 8083, 8084, 8085, 8086, 8087, 8089]
    moved = from_environment({"GATEWAYS": "3", "KAFKA_UI_PORT": "8081"})
    assert moved.gateway_ports == [8080, 8083, 8084]


def test_a_cluster_and_a_product_service_that_are_given_are_not_started():
    shop = from_environment({"KAFKA": "k:1", "PRODUCT_SERVICE": "p:2", "PARTITIONS": "3"})
    names = {one.name: one for one in processes(shop)}
    assert not {"kafka", "product-service"} & set(names)
    assert names["products-1"].environment["PRODUCT_SERVICE"] == "p:2"
    assert names["loms-1"].environment["KAFKA"] == "k:1"
    assert names["gateway-1"].environment["PARTITIONS"] == "3"


def test_each_worker_has_a_name_and_a_directory_of_its_own():
    shop = from_environment({"LOMS_WORKERS": "3", "CHECKOUT_WORKERS": "2"})
    own = [one.environment for one in processes(shop) if "WORKER" in one.environment]
    assert len({one["WORKER"] for one in own}) == len(own) == 7
    assert len({one["STATE_DIR"] for one in own}) == len(own)


def test_each_gateway_has_an_index_and_a_port_of_its_own():
    gateways = [
        one for one in processes(Deployment(gateways=3)) if one.tier == Tier.GATEWAY
    ]
    indexes = [one.environment["GATEWAY_INDEX"] for one in gateways]
    ports = [one.environment["GATEWAY_PORT"] for one in gateways]
    assert (indexes, ports) == (["0", "1", "2"], ["8080", "8081", "8083"])


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "65", "²"])
def test_an_invalid_number_is_named(number: str):
    with pytest.raises(CommandError, match=r"^LOMS_WORKERS: input should be "):
        from_environment({"LOMS_WORKERS": number})


def test_an_empty_variable_is_as_good_as_none():
    assert from_environment({"KAFKA": "", "LOMS_WORKERS": ""}) == Deployment()


def test_scaling_changes_what_is_named_and_nothing_else():
    shop = Deployment(loms_workers=2, checkout_workers=3)
    scaled = shop.scaled({"LOMS_WORKERS": "5", "PARTITIONS": "1"})
    assert scaled == Deployment(loms_workers=5, checkout_workers=3)


def test_only_variables_of_a_service_are_settings():
    environment = {"PAYMENT_TIMEOUT_SECONDS": "3", "KAFKA": "k", "LOMS_WORKERS": "2"}
    environment |= {"HOME": "/", "SMTP_URL": "", "WORKER": "w", "OTEL_X": "y"}
    given = {"PAYMENT_TIMEOUT_SECONDS": "3", "KAFKA": "k", "OTEL_X": "y"}
    assert settings(environment) == given


def test_the_gateways_tokens_are_a_setting_and_a_clients_token_is_none():
    lock = {"GATEWAY_TOKENS": "t", "GATEWAY_TLS_CERT": "c", "GATEWAY_TLS_KEY": "k"}
    lock |= {"GATEWAY_HOST": "0.0.0.0"}
    assert settings(lock | {"GATEWAY_TOKEN": "hush"}) == lock
    assert from_environment(lock).gateway_urls == ["https://127.0.0.1:8080"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("192.0.2.1", "http://192.0.2.1:8080"),
        ("2001:db8::1", "http://[2001:db8::1]:8080"),
        ("localhost", "http://localhost:8080"),
    ],
)
def test_a_gateway_is_called_where_it_listens(host: str, url: str):
    assert from_environment({"GATEWAY_HOST": host}).gateway_urls == [url]


def test_a_running_shop_is_saved_for_its_owner_only(tmp_path: Path):
    shop = Deployment(tmp_path / "there", loms_workers=2)
    save(shop, {"KAFKA": "digest"})
    assert load(shop.directory) == (shop, {"KAFKA": "digest"})
    (file,) = shop.directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["shop"]["loms_workers"] == 2
    delete_state(shop.directory)
    assert load(shop.directory) is None

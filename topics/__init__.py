"""Kafka for the shop: topics as data, clients, telemetry, an embedded broker."""

"""Kafka's side of the shop: every topic as data, and a broker where there is none."""

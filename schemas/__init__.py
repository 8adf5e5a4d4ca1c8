"""The contracts: every message over HTTP and Kafka."""

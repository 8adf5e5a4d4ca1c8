"""The embedded Kafka: a real broker for machines without one."""

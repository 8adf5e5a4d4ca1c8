"""The Kafka client layer that agents and gateway share."""

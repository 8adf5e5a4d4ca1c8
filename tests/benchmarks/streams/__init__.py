"""The shop on Kafka Streams, as a baseline: the same records, rows and replies."""

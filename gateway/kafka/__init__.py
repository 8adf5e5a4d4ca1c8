"""Request and reply over Kafka."""

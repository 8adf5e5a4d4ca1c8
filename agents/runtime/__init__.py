"""The one place where rules meet Kafka: records → rules → rows → messages."""

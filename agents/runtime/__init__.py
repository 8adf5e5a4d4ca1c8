"""Connects rules to Kafka: records → rules → rows → messages; without Faust."""

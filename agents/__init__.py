"""The services: pure rules, and the runtime that connects them to Kafka."""

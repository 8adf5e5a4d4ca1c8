"""Kafka in a browser: topics, records, and a form to send one."""

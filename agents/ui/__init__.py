"""Kafka in a browser, for whoever runs the shop: topics, their records, calls by hand."""

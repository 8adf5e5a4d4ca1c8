"""Seeing what the shop does: Prometheus' configuration, and Grafana with a dashboard."""

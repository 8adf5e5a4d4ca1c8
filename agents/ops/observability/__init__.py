"""Prometheus' configuration, and a Grafana dashboard."""

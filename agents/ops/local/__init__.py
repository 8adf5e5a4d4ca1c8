"""The shop on one machine: start, stop, scale, logs, demo."""

"""The embedded Kafka: a real broker for machines without one.

All modules but `process.py` need only Python, so that the jars can be fetched before the
packages are installed.
"""

"""The embedded Kafka: a real broker of our own where nobody provides one.

Everything here but `embedded.py` needs Python alone, so that the jars can be fetched
while the packages are still being installed.
"""

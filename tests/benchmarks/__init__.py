"""Benchmarks: figures of the shop beside a floor measured in the same run."""

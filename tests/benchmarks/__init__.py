"""Benchmarks: the shop's figures, and a floor measured in the same run."""

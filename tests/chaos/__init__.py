"""Faults that are injected into a shop of real processes, and the checks after each."""

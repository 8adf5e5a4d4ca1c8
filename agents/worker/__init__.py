"""The Faust worker, hardened.

Faust 0.15.3 loses records around rebalances, failures and frozen processes, and spends
half a millisecond on each record. `compat.py` lists what is replaced, and why.
"""

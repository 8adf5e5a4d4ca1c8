"""The Faust worker, hardened: all that reaches into faust's inside is in here.

Faust 0.15.3 as it comes loses records around rebalances, failures and frozen processes,
and spends half a millisecond on each. What is replaced here, and why, stands at each
class; `tests/component` fails when faust changes under it.
"""

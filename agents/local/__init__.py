"""The whole shop on one machine: started, watched, shown, and stopped.

`environment.py`, `shop.py`, `compose.py` and `__main__.py` need Python alone, since they
run before there is anything else.
"""

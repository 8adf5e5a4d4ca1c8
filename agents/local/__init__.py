"""The whole shop on one machine: started, watched, shown, and stopped.

`environment.py`, `shop.py`, `compose.py` and `__main__.py` need Python alone, since they
run before there is anything else. An unsupported Python ends here, with one line: it
could not even read the modules.
"""

import sys

from agents.local.interpreter import unsupported

if unsupported():
    sys.exit(unsupported())

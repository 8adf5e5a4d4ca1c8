"""The shop on one machine: start, stop, scale, logs, demo.

`environment.py`, `deployment.py`, `compose.py` and `__main__.py` need no packages, since
they run before any is installed. An unsupported Python ends here with one line: it could
not even parse the modules.
"""

import sys

from agents.ops.local.interpreter import unsupported

if unsupported():
    sys.exit(unsupported())

"""The shop on one machine: start, stop, scale, logs, demo.

`environment.py`, `deployment.py`, `compose.py` and `__main__.py` run before any package is
installed, so they import none. An unsupported Python ends here with one line, since it
can't parse the other modules.
"""

import sys

from agents.ops.local.interpreter import unsupported

if unsupported():
    sys.exit(unsupported())

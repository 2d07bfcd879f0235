"""Exit codes.

0 all is well · 1 some images failed, or some results are not saved · 2 the command, a file or a
request is wrong, or the output cannot be written · 3 the server cannot be reached or cannot serve
now · 130 interrupted
"""

from __future__ import annotations

SOME_FAILED = 1
WRONG = 2
UNREACHABLE = 3
INTERRUPTED = 130

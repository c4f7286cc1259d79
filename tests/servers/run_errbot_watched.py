"""Runs Errbot's command line and writes down which functions of the package are called, and when.

Each line of the file $WATCHED_CALLS is a time (seconds since 1970), a module such as `alerting/service.py`, and a
function of it with its line: its first call within SPAN seconds, in any thread.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType

SPAN = 0.01
_PACKAGE = "/errbot_sentry/"


def watch(file: Path) -> None:
    """Begin to write into `file`."""
    seen: set[tuple[CodeType, int]] = set()
    out = file.open("a", buffering=1)  # stays open as long as the process lives

    def called(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and _PACKAGE in code.co_filename and code.co_name != "<module>":
            now = time.time()
            key = (code, int(now / SPAN))
            if key not in seen:
                seen.add(key)
                module = code.co_filename.rpartition(_PACKAGE)[2]
                out.write(f"{now} {module} {code.co_name}:{code.co_firstlineno}\n")

    threading.setprofile(called)
    sys.setprofile(called)


if __name__ == "__main__":
    watch(Path(os.environ["WATCHED_CALLS"]))
    runpy.run_path(str(Path(__file__).with_name("run_errbot.py")), run_name="__main__")

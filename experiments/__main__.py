"""`python -m experiments VERB [ARGUMENT ...]`: what `launch.sh` runs.

While a program's imports go on, Ctrl-C ends the process with a line instead of a traceback.
"""

import os
import runpy
import signal
import sys


def _end(*_: object) -> None:
    os.write(2, b"interrupted; nothing was lost: the same command starts again\n")
    os._exit(128 + signal.SIGINT)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as in the background
    signal.signal(signal.SIGINT, _end)

runpy.run_module(f"experiments.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)

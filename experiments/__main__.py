"""`python -m experiments VERB [ARGUMENT ...]`: what `launch.sh` runs.

While a program's imports go on, Ctrl-C ends the process without a traceback.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as in the background
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import runpy
import sys

runpy.run_module(f"experiments.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)

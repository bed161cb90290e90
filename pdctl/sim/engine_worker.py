"""A stand-in for vLLM's worker processes: it does nothing and can be killed. Stdlib only.

With `stubborn` it leads a session of its own and ignores SIGTERM, as vLLM's workers were seen to outlive their leader.
It does not watch its parent: orphans are what it is for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_NAME = 15


def main(argv: list[str]) -> int:
    if "stubborn" in argv:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"VLLM::Worker", 0, 0, 0)
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Runs a command for as long as its own stdin stays open: `python owned.py COMMAND...`. Linux only.

Whoever starts it holds the writing end of a pipe. When that closes, by intent or because its holder was killed, all
that came of the command is killed, in sessions of their own or not; so is what the command leaves behind at its end.
SIGTERM is handed on to the command alone, whose exit status is ours.
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys

from pdctl.sim.node_tree import become_subreaper, kill_descendants

POLL_S = 0.05


def main() -> int:
    become_subreaper()
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))  # before anybody can have heard of the command
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    while command.poll() is None:
        while told:
            command.send_signal(told.pop())
        if select.select([0], [], [], POLL_S)[0]:  # nobody ever writes: its end
            break
    kill_descendants()
    status = command.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())

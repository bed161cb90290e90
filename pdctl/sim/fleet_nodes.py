"""Fork a fleet's nodes, know who lives, and end them all.

Every node holds the reading end of a pipe, its lifeline, whose only writing end is here. So when this process ends,
however it ends, every node reads end-of-file and kills its tree. This process is a subreaper too: what a killed node
leaves behind lands here and is killed here.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.sim import node_tree
from pdctl.sim.node import run_node
from pdctl.sim.node_env import NodeConfig


@dataclass(frozen=True, slots=True)
class Planned:
    """A node before its start: its listening socket is bound already, so no client can come too early."""

    config: NodeConfig
    listener: socket.socket


@dataclass(frozen=True, slots=True)
class Ended:
    """A node that is gone, with what it left behind already killed."""

    name: str
    cause: str
    orphans: int


class Herd:
    """The forked nodes by pid, with the lifelines that keep them alive."""

    def __init__(self) -> None:
        self._lifelines: dict[int, tuple[str, int]] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The living nodes' pids by name."""
        return {name: pid for pid, (name, _) in self._lifelines.items()}

    def fork(self, planned: Sequence[Planned], *, ready: int) -> None:
        """Start every node as a copy of this process, which has paid for its imports once.

        `ready` gets each node's name and a newline when it serves. Raises RuntimeError when other threads run: a fork
        would copy their locks, and the parent-death signal counts from the forking thread.
        """
        if threading.active_count() != 1:
            raise RuntimeError("nodes are forked before any other thread starts")
        node_tree.become_subreaper()
        gc.collect()
        gc.freeze()  # the collector would touch, and so copy, every page that parent and children share
        for node in planned:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_DFL)
                signal.set_wakeup_fd(-1)
                run_node(node.config, node.listener, lifeline=reading, ready=ready)
            os.close(reading)
            node.listener.close()
            self._lifelines[pid] = (node.config.name, writing)

    def reap(self) -> list[Ended]:
        """Wait for whatever has ended; the nodes among it, each with its orphans killed."""
        ended: list[tuple[str, str]] = []
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._lifelines:
                name, lifeline = self._lifelines.pop(pid)
                os.close(lifeline)
                ended.append((name, exit_cause(os.waitstatus_to_exitcode(raw))))
        if not ended:
            return []
        orphans = len(node_tree.descendants(os.getpid(), spare=self._lifelines))
        node_tree.kill_descendants(spare=self._lifelines)
        return [Ended(name, cause, orphans) for name, cause in ended]

    def end(self, *, deadline_s: float = 10.0) -> None:
        """End every node and all that is left, and return when nothing lives. Frozen nodes are woken for it."""
        for pid, (_, lifeline) in self._lifelines.items():
            os.close(lifeline)
            os.kill(pid, signal.SIGCONT)  # not reaped yet, so the pid is still the node's
        limit = time.monotonic() + deadline_s
        while self._lifelines and time.monotonic() < limit:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                time.sleep(0.005)
            else:
                self._lifelines.pop(pid, None)
        self._lifelines.clear()
        node_tree.kill_descendants(deadline_s=deadline_s)


def exit_cause(code: int) -> str:
    """One phrase for an exit code as Python counts it: negative is a signal."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

"""A fleet's waiting: for its nodes to serve, then for its end, and on the way for nodes that die."""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from pathlib import Path

from pdctl.sim.fleet_nodes import Herd
from pdctl.sim.fleet_record import FleetRecord, write_record

ENDING = {signal.SIGTERM, signal.SIGINT}


class Watch:
    """One selector over the signals' pipe and the owner's. `ended` is set once the fleet is to end."""

    def __init__(self, selector: selectors.BaseSelector, herd: Herd, *, signals: int, owner: int | None) -> None:
        self.ended = False
        self._selector = selector
        self._herd = herd
        self._signals = signals
        self._owner = owner
        selector.register(signals, selectors.EVENT_READ)
        if owner is not None:
            selector.register(owner, selectors.EVENT_READ)

    def until_ready(self, ready: int, nodes: int, *, deadline_s: float) -> bool:
        """Wait until `nodes` names came through `ready`. False if the end came first, a node died, or time is up."""
        self._selector.register(ready, selectors.EVENT_READ)
        limit = time.monotonic() + deadline_s
        lines = b""
        while lines.count(b"\n") < nodes:
            readable, children = self._wait(limit - time.monotonic())
            if self.ended:
                return False
            if children:
                for node in self._herd.reap():
                    print(f"node {node.name} did not start: {node.cause}", file=sys.stderr, flush=True)
                    return False
            if ready in readable:
                lines += os.read(ready, 4096)
            if time.monotonic() > limit:
                print(f"not all nodes served within {deadline_s:g} s", file=sys.stderr, flush=True)
                return False
        self._selector.unregister(ready)
        os.close(ready)
        return True

    def until_end(self, directory: Path, record: FleetRecord) -> None:
        """Wait for the owner's end or a signal; a node that dies meanwhile is noted in the record."""
        while not self.ended:
            _, children = self._wait(None)
            if not children or self.ended:
                continue
            for node in self._herd.reap():
                print(f"node {node.name}: {node.cause}, {node.orphans} orphans killed", file=sys.stderr, flush=True)
                record = record.with_state(node.name, node.cause)
                write_record(directory, record)

    def _wait(self, timeout_s: float | None) -> tuple[set[int], bool]:
        """What became readable, and whether a child may have ended; sets `ended`."""
        timeout_s = None if timeout_s is None else max(0.0, timeout_s)
        readable = {key.fd for key, _ in self._selector.select(timeout_s)}
        numbers = set(os.read(self._signals, 4096)) if self._signals in readable else set()
        if numbers & ENDING:
            self.ended = True
        if self._owner in readable and self._owner is not None and not os.read(self._owner, 4096):
            self.ended = True
        return readable, signal.SIGCHLD in numbers

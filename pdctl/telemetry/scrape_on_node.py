"""Node side: scrape the engines of this node and send what changed, one JSON line at a time, until stdin closes.

Stdin, a line each: {"interval_s": 1.0, "names": [sample names to keep], "targets": {id: [host, port, path]}}; a new
one replaces the last. Stdout, a line each:

    {"k": "heads", "t": id, "from": n, "heads": [...]}   lines up to the value, numbered from n; 0 begins anew
    {"k": "part", "t": id, "v": {number: value}}   more of the "values" that follow
    {"k": "values", "t": id, "at": s, "n": count, "v": {number: value}}   a whole scrape: values that changed, as text
    {"k": "lost", "t": id, "at": s, "why": text}
    {"k": "node", "at": s, "nics": {device: {...}}, "gpus": {index: {...}}}   sysfs, counters as they stand

`at` is this node's monotonic clock. Every target has a thread of its own, so a slow one delays nobody; sysfs too. What
is sent is a few changed numbers a second instead of 60 kB an engine. Stdlib only, Python >= 3.6; judges nothing.
"""

import http.client
import json
import os
import sys
import threading
import time

from pdctl.telemetry.sysfs_on_node import read_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADS_BYTES = 32 << 10  # a line of output stays well under the 64 KiB that a stream's line may have
VALUES_AT_ONCE = 1500
BODY_MAX_BYTES = 16 << 20
TIMEOUT_S = 5.0


class Out:
    """Writes whole lines from any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def say(self, message: "dict[str, Any]") -> None:
        line = (json.dumps(message, separators=(",", ":")) + "\n").encode()
        with self.lock:
            try:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
            except OSError:
                os._exit(0)  # nobody reads any more


class Target(threading.Thread):
    """One engine's metrics: a held connection, and what was sent of its last scrape."""

    def __init__(self, out: "Out", name: str, address: "list[Any]", names: "frozenset[str]", interval_s: float) -> None:
        threading.Thread.__init__(self, daemon=True)
        self.out, self.name_, self.names, self.interval_s = out, name, names, interval_s
        self.host, self.port, self.path = address
        self.gone = threading.Event()
        self.connection: "http.client.HTTPConnection | None" = None
        self.heads: "dict[str, int]" = {}
        self.order: "list[str]" = []
        self.values: "list[str]" = []

    def run(self) -> None:
        due = time.monotonic()
        while not self.gone.is_set():
            try:
                text = self.fetch()
            except Exception as error:
                self.connection = None
                why = str(error) or type(error).__name__
                self.say({"k": "lost", "t": self.name_, "at": time.monotonic(), "why": why[:300]})
            else:
                self.send(text, time.monotonic())
            due = max(due + self.interval_s, time.monotonic())
            self.gone.wait(due - time.monotonic())

    def say(self, message: "dict[str, Any]") -> None:
        if not self.gone.is_set():  # a late answer of what was scraped before must not pass for its successor's
            self.out.say(message)

    def fetch(self) -> str:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        self.connection.request("GET", self.path)
        answer = self.connection.getresponse()
        body = answer.read(BODY_MAX_BYTES + 1)
        if answer.status != 200:
            raise ValueError("it answered %d" % answer.status)
        if len(body) > BODY_MAX_BYTES:
            raise ValueError("its answer is longer than %d bytes" % BODY_MAX_BYTES)
        return body.decode("utf-8", "replace")

    def send(self, text: str, at: float) -> None:
        heads, values = [], []
        for line in text.split("\n"):
            if line[:1] in ("#", ""):
                continue
            head, _, value = line.rstrip("\r").rpartition(" ")
            if head.partition("{")[0].rstrip() in self.names:
                heads.append(head)
                values.append(value)
        if heads != self.order:
            self.begin(heads)
        changed = {str(n): value for n, value in enumerate(values) if n >= len(self.values) or self.values[n] != value}
        self.values = values
        numbers = sorted(changed, key=int)
        for first in range(0, len(numbers), VALUES_AT_ONCE):
            part = {number: changed[number] for number in numbers[first : first + VALUES_AT_ONCE]}
            if first + VALUES_AT_ONCE < len(numbers):
                self.say({"k": "part", "t": self.name_, "v": part})
            else:
                self.say({"k": "values", "t": self.name_, "at": at, "n": len(values), "v": part})
        if not numbers:
            self.say({"k": "values", "t": self.name_, "at": at, "n": len(values), "v": {}})

    def begin(self, heads: "list[str]") -> None:
        self.order, self.values = heads, []
        first, size = 0, 0
        for number, head in enumerate(heads):
            size += 2 * len(head) + 8  # quotes are escaped
            if size >= HEADS_BYTES or number + 1 == len(heads):
                part = heads[first : number + 1]
                self.say({"k": "heads", "t": self.name_, "from": first, "heads": part})
                first, size = number + 1, 0


def watch_sysfs(out: "Out", settings: "dict[str, float]") -> None:
    while True:
        at = time.monotonic()
        try:
            seen = read_node()
        except Exception:  # an odd file of one device ends neither this thread nor the sign of life
            seen = {"nics": {}, "gpus": {}}
        out.say(dict(seen, k="node", at=at))
        time.sleep(max(0.05, settings["interval_s"] - (time.monotonic() - at)))


def main() -> None:
    out = Out()
    settings = {"interval_s": 1.0}
    targets: "dict[str, Target]" = {}
    threading.Thread(target=watch_sysfs, args=(out, settings), daemon=True).start()
    while True:
        line = sys.stdin.buffer.readline()
        if not line:
            os._exit(0)  # the controller is gone; threads may hang in a read for ever
        asked = json.loads(line.decode())
        settings["interval_s"] = asked["interval_s"]
        names = frozenset(asked["names"])
        for name, target in list(targets.items()):
            if asked["targets"].get(name) != [target.host, target.port, target.path]:
                targets.pop(name).gone.set()
        for name, address in asked["targets"].items():
            if name not in targets:
                targets[name] = Target(out, name, address, names, asked["interval_s"])
                targets[name].start()

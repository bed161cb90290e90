"""Node side: collects what an order names (`health.collection`), judges nothing, leaves nothing behind.

One thread: tools and file readers are processes, and this one only looks at their pipes, so that nothing that hangs
on the node can hang the collection. Sent with the fragments before it; stdlib only, Python 3.6.
"""

import base64
import glob
import json
import os
import platform
import pwd
import select
import signal
import sys
import time
import zlib

from pdctl.health.read_files_on_node import Reader, Tree, plain_files, sampled_files
from pdctl.health.run_tools_on_node import Tool, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

TICK_S = 0.05
SENT_PLAIN_BYTES = 16 << 10
MOST_DEVICES = 64  # that one command is run for
NEVER_ROOT = ("not in the sudoers", "may not run sudo", "not found")


class Collecting:
    """One collection as it goes on."""

    def __init__(self, order: "Facts") -> None:
        self.order = order
        self.began = time.monotonic()
        self.end = self.began + order["deadline_s"]
        self.env = environment(order["path"])
        self.is_root = os.geteuid() == 0
        self.no_root = ""  # why sudo need not be asked again: it may write a mail for every time
        self.waiting = list(self._expanded())
        self.running = []  # type: list[Tool]
        self.items = {}  # type: dict[str, Facts]
        self.has_data = {}  # type: dict[str, bool]
        self.files = {}  # type: dict[str, Facts]
        self.links = {}  # type: dict[str, str]
        self.samples = {}  # type: dict[str, list[str]]
        self.missing = []  # type: list[str]
        self.readers = [Reader(plain_files, order)]
        if order["samples"]:
            self.readers.append(Reader(sampled_files, order))

    def _expanded(self) -> "list[Facts]":
        """The commands, those for each device once per device."""
        tree = Tree(self.order["root"])
        kernel = platform.release()
        found = []
        for command in self.order["commands"]:
            names = [""]
            if command["each"]:
                names = sorted({os.path.basename(path) for path in glob.glob(tree.real(command["each"]))})
            for name in names[:MOST_DEVICES]:
                argv = [word.replace("{name}", name).replace("{kernel}", kernel) for word in command["argv"]]
                found.append(dict(command, id=command["id"].replace("{name}", name), argv=argv))
        return found

    def run(self) -> None:
        for reader in self.readers:
            reader.start()
        while (self.waiting or self.running or self.readers) and time.monotonic() < self.end:
            self._start_some()
            fds = [fd for tool in self.running for fd in tool.outputs] + [reader.fd for reader in self.readers]
            select.select(fds, [], [], TICK_S)
            for tool in list(self.running):
                tool.pump()
                self._settle(tool)
            for reader in list(self.readers):
                self._read(reader)
        self.stop()

    def _start_some(self) -> None:
        for command in list(self.waiting):
            if len(self.running) >= self.order["jobs"]:
                return
            first = command["unless"]
            if first and first not in self.items:
                if not any(each["id"] == first for each in self.waiting) and not self._runs(first):
                    self.has_data[first] = False
                    self.items.setdefault(first, {"argv": [], "refused": "not asked for"})
                continue
            self.waiting.remove(command)
            if first and self.has_data[first]:
                continue
            as_root = command["as_root"] and not self.is_root
            self._start(Tool(command, self.env, as_root and not self.no_root, self.no_root if as_root else ""))

    def _runs(self, name: str) -> bool:
        return any(tool.command["id"] == name for tool in self.running)

    def _start(self, tool: Tool) -> None:
        tool.start()
        self.running.append(tool)
        self._settle(tool)

    def _settle(self, tool: Tool) -> None:
        """What a tool that ended brought; one that sudo refused is tried once more as the login."""
        if not tool.done:
            return
        self.running.remove(tool)
        refused = tool.refused_root()
        if refused:
            if any(sign in refused for sign in NEVER_ROOT):
                self.no_root = refused
            self._start(Tool(tool.command, self.env, False, refused))
            return
        name = tool.command["id"]
        self.items[name] = tool.item
        self.has_data[name] = tool.brought_data()
        if tool.item.get("timed_out"):
            self._give_up(tool.command["argv"][0])

    def _give_up(self, program: str) -> None:
        """A program that hung once is not asked again: ten calls of it would cost ten deadlines."""
        for tool in self.running:
            if tool.command["argv"][0] == program and not tool.killed:
                tool.item["timed_out"] = True
                tool.kill()
        for command in list(self.waiting):
            if command["argv"][0] == program:
                self.waiting.remove(command)
                self.items[command["id"]] = {"argv": command["argv"], "refused": "not run: %s hangs" % program}
                self.has_data[command["id"]] = False

    def _read(self, reader: Reader) -> None:
        results, ended = reader.take()
        for kind, path, *rest in results:
            if kind == "file":
                self._file(path, *rest)
            elif kind == "link":
                self.links[path] = rest[0]
            elif kind == "sample":
                self.samples.setdefault(path, []).append(rest[0])
            else:
                self.missing.append(path)
        stuck = "" if ended else reader.stuck()
        if ended:
            self.readers.remove(reader)
            os.close(reader.fd)
            reap(reader.pid)
        elif stuck:
            end_reader(reader)
            reader.skip.add(stuck)
            self._file(stuck, "", "ETIMEDOUT", False)
            self.missing.append("%s: reading it took too long" % stuck)
            reader.start()

    def _file(self, path: str, text: str, error: str, truncated: bool) -> None:
        fact = {"text": text}  # type: Facts
        if error:
            fact["error"] = error
        if truncated:
            fact["truncated"] = True
        self.files[path] = fact

    def stop(self) -> None:
        """End whatever still runs; say what was left out."""
        for tool in self.running:
            tool.kill()
            self.missing.append("%s: no time was left for it" % tool.command["id"])
            self.items[tool.command["id"]] = dict(tool.item, timed_out=True, stdout=tool.stdout.text())
        for command in self.waiting:
            if not (command["unless"] and self.has_data.get(command["unless"])):
                self.missing.append("%s: no time was left for it" % command["id"])
        for reader in self.readers:
            self.missing.append("files: no time was left for %s and later ones" % (reader.mark.get()[0] or "some"))
            end_reader(reader)

    def envelope(self) -> "Facts":
        tree = Tree(self.order["root"])
        return {
            "schema": 1,
            "host": os.uname().nodename,
            "machine_id": tree.read("/etc/machine-id", 200)[0].strip(),
            "boot_id": tree.read("/proc/sys/kernel/random/boot_id", 200)[0].strip(),
            "kernel": platform.release(),
            "python": "%d.%d.%d" % sys.version_info[:3],
            "user": user(),
            "seconds": round(time.monotonic() - self.began, 3),
            "items": self.items,
            "files": self.files,
            "links": self.links,
            "samples": self.samples,
            "missing": self.missing,
            "mono_s": time.monotonic(),
            "wall_s": time.time(),
        }


def reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except OSError:
        pass


def end_reader(reader: Reader) -> None:
    """Never waits: what hangs in a driver dies when that lets it go, and nobody is left to reap it but init."""
    os.close(reader.fd)
    try:
        os.kill(reader.pid, signal.SIGKILL)
    except OSError:
        pass
    reap(reader.pid)


def user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "%d" % os.geteuid()


def packed(envelope: "Facts") -> "Facts":
    """The envelope as it is, or compressed where it is large."""
    text = json.dumps(envelope)
    if len(text) < SENT_PLAIN_BYTES:
        return envelope
    return {"zlib": base64.b64encode(zlib.compress(text.encode(), 6)).decode()}


def main(order: "Facts") -> "Facts":
    collecting = Collecting(order)

    def on_signal(number: int, frame: "Any") -> None:
        """`timeout` on our side of the connection: take the tools along."""
        collecting.stop()
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        collecting.run()
    except BaseException:
        collecting.stop()
        raise
    return packed(collecting.envelope())

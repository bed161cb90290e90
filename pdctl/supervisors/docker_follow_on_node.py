"""Node side: print a container's log as JSON lines, {"t": text, "at": Unix time, "c": cursor}, until stdin closes.

The cursor is the time that the container engine gave the last line; another connection goes on from there. When a
container was restarted, or another launch has taken its name, its lines follow. Where the unit has no container any
more, its last kept log is shown.
"""

import json
import os
import select
import subprocess
import sys

from pdctl.supervisors.docker_cli_on_node import container_cli, container_named, unix_time
from pdctl.supervisors.node_state_on_node import Refusal, kept_logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

READ_BYTES = 65536
LOOK_AGAIN_S = 1.0


class Printer:
    """Prints log lines; `cursor` is the time of the last one, whose line is not printed again."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor

    def take(self, line: bytes) -> None:
        """One line of `docker logs --timestamps`."""
        stamp, _, text = line.decode("utf-8", "replace").partition(" ")
        at = unix_time(stamp)
        if not at:  # the container engine's own word
            self.put(line.decode("utf-8", "replace"), None)
        elif stamp != self.cursor:
            self.cursor = stamp
            self.put(text, at)

    def put(self, text: str, at: "float | None") -> None:
        sys.stdout.write(json.dumps({"t": text, "at": at, "c": self.cursor}) + "\n")


def follow(request: "Facts") -> None:
    """Prints {"missing": true} where there is no log, {"refused": cause, "hint"} where nobody can be asked."""
    try:
        follow_unit(request)
    except Refusal as refusal:
        answer({"refused": refusal.message, "hint": refusal.hint})


def follow_unit(request: "Facts") -> None:
    shown = ours(request)
    printer = Printer(request["cursor"])
    if shown is None and not printer.cursor:
        kept = kept_log(request)
        if kept is None:
            answer({"missing": True})
            return
        for line in kept:
            printer.put(line, None)
    lines = request["lines"]
    seen = None
    while True:
        launch = shown and (shown["id"], shown["started_at"])
        if shown is not None and launch != seen:
            seen = launch
            if not pump(shown["id"], lines, request["follow"], printer):
                return
            lines = -1
        sys.stdout.flush()
        if not request["follow"] or stdin_closed(LOOK_AGAIN_S):
            return
        shown = ours(request)


def ours(request: "Facts") -> "Facts | None":
    """The unit's container, if it is ours and has printed anything."""
    shown = container_named(request["unit"])
    return shown if shown is not None and shown["labels"] is not None and shown["started_at"] else None


def pump(container: str, lines: int, follow: bool, printer: Printer) -> bool:
    """Print what `logs` says until it ends; False if our side of the connection has gone."""
    command = [container_cli(), "logs", "--timestamps"]
    command.append("--since=" + printer.cursor if printer.cursor else "--tail=" + (str(lines) if lines >= 0 else "all"))
    command += ["--follow"] if follow else []
    reader = subprocess.Popen(
        [*command, container], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        return reader.stdout is None or copy_lines(reader.stdout.fileno(), printer)
    finally:
        reader.kill()
        reader.wait()


def copy_lines(source: int, printer: Printer) -> bool:
    rest = b""
    while True:
        ready = select.select([source, 0], [], [])[0]
        if source in ready:
            data = os.read(source, READ_BYTES)
            whole = (rest + data).split(b"\n")
            rest = whole.pop()
            for line in whole + ([rest] if rest and not data else []):
                printer.take(line)
            sys.stdout.flush()
            if not data:
                return True
        if 0 in ready and not os.read(0, 4096):
            return False


def stdin_closed(wait_s: float) -> bool:
    """Wait; whether our side of the connection has gone."""
    return bool(select.select([0], [], [], wait_s)[0]) and not os.read(0, 4096)


def kept_log(request: "Facts") -> "list[str] | None":
    """The last lines of the unit's last launch that was forgotten; None where there is none."""
    cluster_dir = os.path.join(request["root"], request["cluster"])
    kept = kept_logs(cluster_dir, request["unit"])
    if not kept:
        return None
    with open(os.path.join(cluster_dir, "logs", kept[-1][1]), encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    return lines[-request["lines"] :] if request["lines"] else []


def answer(found: "Facts") -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()

"""Node side: print a unit's journal as JSON lines, {"t": text, "at": Unix time, "c": cursor}, until stdin closes.

It holds what the unit printed, and how it ended in systemd's words; that it was started is no news.
journalctl follows rotation by itself; the cursor lets another connection go on where this one broke off.
"""

import json
import os
import select
import subprocess
import sys

from pdctl.supervisors.systemd_journal_on_node import journal_entries, matches, message_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READ_BYTES = 65536
ENDINGS = (3, 4, 5)  # syslog's error, warning and notice: exits, kills, failures; starts and stops are `info`


def show_entry(line: bytes) -> None:
    try:
        entry = json.loads(line.decode("utf-8", "replace"))
    except ValueError:
        return
    at = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
    mark = "[systemd] " if "UNIT" in entry else ""
    for text in message_of(entry).splitlines() or [""]:
        sys.stdout.write(json.dumps({"t": mark + text, "at": at, "c": entry.get("__CURSOR", "")}) + "\n")
    sys.stdout.flush()


def follow(request: "dict[str, Any]") -> None:
    """Prints {"missing": true} where the journal has nothing of the unit."""
    service = request["unit"] + ".service"
    if not request["cursor"] and not journal_entries("--lines=1", *matches(service)):
        sys.stdout.write(json.dumps({"missing": True}) + "\n")
        sys.stdout.flush()
        return
    command = ["journalctl", "--quiet", "--no-pager", "--all", "--output=json", "--output-fields=MESSAGE,UNIT"]
    if request["cursor"]:
        command += ["--after-cursor=" + request["cursor"], "--no-tail"]
    else:
        command.append("--lines={}".format(request["lines"]))
    if request["follow"]:
        command.append("--follow")
    command += matches(service, ENDINGS)
    reader = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        pump(reader)
    finally:
        reader.kill()
        reader.wait()


def pump(reader: "subprocess.Popen[bytes]") -> None:
    """Print what journalctl says until it ends or our side of the connection has gone."""
    if reader.stdout is None:
        return
    source = reader.stdout.fileno()
    rest = b""
    while True:
        ready = select.select([source, 0], [], [])[0]
        if source in ready:
            data = os.read(source, READ_BYTES)
            if not data:
                return
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            for line in lines:
                show_entry(line)
        if 0 in ready and not os.read(0, 4096):
            return

"""Node side: the journal of one unit: what it printed, and what systemd did to it."""

import json
import os
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

JOURNAL_ENTRIES = 400  # read back from the end of a launch: a kill of many workers is a line each
JOURNAL_WAIT_S = 10.0


def journalctl(*arguments: str) -> bytes:
    """Output of journalctl; nothing where it fails or takes too long: evidence is worth no hung command."""
    command = ["journalctl", "--quiet", "--no-pager", *arguments]
    try:
        found = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=JOURNAL_WAIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return found.stdout


def journal_entries(*arguments: str) -> "list[Facts]":
    fields = "--output-fields=MESSAGE,UNIT"
    found = []
    for line in journalctl("--all", "--output=json", fields, *arguments).splitlines():
        try:
            entry = json.loads(line.decode("utf-8", "replace"))
        except ValueError:  # the last line of a journalctl that was cut off
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def message_of(entry: "Facts") -> str:
    """MESSAGE is text, or a list of byte values where it holds anything unprintable (systemd's JSON format)."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        try:
            return bytes(message).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return ""
    return message if isinstance(message, str) else ""


def matches(service: str, priorities: "tuple[int, ...]" = ()) -> "list[str]":
    """What the unit printed, and what systemd says of it: PID 1 and the child that was to become the main process.

    `priorities`: syslog's, for systemd's part; all of them where there are none.
    """
    said = ["_UID=0", "UNIT=" + service] + ["PRIORITY={}".format(number) for number in priorities]
    return ["_SYSTEMD_UNIT=" + service, "+", *said]


def launch_journal(service: str, since: float, lines: int) -> "Facts":
    """Of the launch that began at `since`: the last `lines` lines it printed, and what systemd said about it."""
    entries = journal_entries(
        "--lines={}".format(JOURNAL_ENTRIES),
        "--since=@{:.6f}".format(since),
        *matches(service),
    )
    printed = []  # type: list[str]
    manager = []
    for entry in entries:
        if entry.get("UNIT") == service:
            manager.append(message_of(entry))
        else:
            printed.extend(message_of(entry).splitlines() or [""])
    return {"tail": printed[-lines:], "manager": manager}


def last_entries_at(services: "list[str]") -> "dict[str, int]":
    """{service: Unix time in microseconds of the newest line it printed}. One call for all units of a node, because
    opening a large journal is what costs; units that are not among its newest lines are left out."""
    if not services:
        return {}
    command = ["--output=json", "--output-fields=_SYSTEMD_UNIT", "--lines={}".format(JOURNAL_ENTRIES)]
    found = {}
    for line in journalctl(*command, *("_SYSTEMD_UNIT=" + service for service in services)).splitlines():
        try:
            entry = json.loads(line.decode("utf-8", "replace"))
            found[entry["_SYSTEMD_UNIT"]] = int(entry["__REALTIME_TIMESTAMP"])
        except (ValueError, KeyError, TypeError):  # the last line of a journalctl that was cut off
            continue
    return found


def sync_journal() -> None:
    """Wait until all that was logged so far can be read."""
    if os.geteuid() == 0:
        journalctl("--sync")

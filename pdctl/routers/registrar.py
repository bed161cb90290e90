"""The registrar: it owns the list of members of one router, and runs beside it as a unit of its own.

    python3 registrar.py --members members.json --state state.json

Stdlib only, Python 3.6 syntax; shipped as one file together with its three `registrar_*_on_node.py` parts (`units.py`).
pdctl replaces the members file atomically; once a second the registrar tells the router about every member in it (mode
`ttl`: vllm-router's ZeroMQ discovery; mode `admin`: the router's own list of workers is reconciled) and writes
`state.json`. A lower lease epoch, or a broken file, changes nothing: the last good set stays in force, across restarts
too (kept beside the state as `<state>.applied`).
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Dict, List, Optional, Set, Tuple

from pdctl.routers.registrar_gate_on_node import Health, Poller, choose_withheld
from pdctl.routers.registrar_log_on_node import Log
from pdctl.routers.registrar_wire_on_node import FAILURES, Json, announce, http, registration

SCHEMA = 1
ROUND_S = 1.0  # between registrations: vllm-router 0.1.17 forgets a member 4.25-4.75 s after its last one (measured)
RETRY_S = 0.25  # while the router cannot be reached, or a new member's first good health answer is awaited
LOOK_S = 0.05  # between two looks at the members file
TAKEN_S = 3.0  # a member counts as registered for that long after the router took it: well inside the router's TTL
LEAVING = Health(0.0)  # stands for the polls of a former member that the router still lists
DEPARTED_S = 120.0  # for how long the state still tells when a former member was last registered


def parse_members(text: str) -> Json:
    """The members file, checked. Raises ValueError with the reason."""
    document: Json = json.loads(text)
    try:
        if document["schema"] != SCHEMA or document["mode"] not in ("ttl", "admin"):
            raise ValueError("schema {schema}, mode {mode} is not for this registrar".format(**document))
        numbers = [document["epoch"], document["seq"]]
        texts = [document["router"]["discovery" if document["mode"] == "ttl" else "http"]]
        for member in document["members"]:
            numbers += [member[field] for field in ("dp_size", "tp_size", "generation")]
            texts += [member[field] for field in ("name", "type", "http_address", "zmq_address")]
            texts += [member["transfer_mode"] or ""]
        names = [member["name"] for member in document["members"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a members file: {!r}".format(error)) from error
    if not all(isinstance(number, int) and 0 <= number < 1 << 32 for number in numbers):
        raise ValueError("not a members file: a number is not what it should be")
    if not all(isinstance(text, str) for text in texts) or len(set(names)) < len(names):
        raise ValueError("not a members file: a name is no text, or there twice")
    return document


def write_atomically(path: Path, document: Json) -> None:
    """Replace `path`: a reader sees the old file or the new one, never a part. Trouble is told, never raised."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(document))
        temporary.replace(path)
    except OSError as error:
        print("registrar: {} cannot be written: {}".format(path, error), file=sys.stderr, flush=True)


def read_json(path: Path) -> Json:
    """The file's object; an empty one where there is none."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


class Roster:
    """The members in force: the newest good file ever seen, kept on disk for the next start."""

    def __init__(self, source: Path, kept: Path) -> None:
        self._source = source
        self._kept = kept
        self._text = ""
        self.trouble = ""
        self.urls: Set[str] = set()
        """Workers that were ever ours (mode `admin`): no others are ever removed from the router."""
        self.current: Json = {"epoch": 0, "seq": 0, "mode": "ttl", "router": {"discovery": ":0"}, "members": []}
        document = read_json(kept)
        if document:
            self.current, self.urls = document["applied"], set(document["urls"])

    def signature(self) -> Any:
        """Changes whenever the file is replaced."""
        try:
            stat = self._source.stat()
        except OSError as error:
            return error.errno
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def load(self) -> None:
        """Take the file's members over, unless it is broken or older than what is in force (`trouble` says so)."""
        try:
            text = self._source.read_text()
            if text == self._text:
                return
            document = parse_members(text)
        except (OSError, ValueError) as error:
            self.trouble, self._text = "members file kept out: {}".format(error), ""
            return
        self._text = text
        new, old = ((each["epoch"], each["seq"]) for each in (document, self.current))
        if new < old:
            self.trouble = "members file refused: epoch {}, seq {} is older than {}, {}".format(*(new + old))
            return
        self.trouble = ""
        if document != self.current:
            self.current = document
            self.urls |= {"http://" + member["http_address"] for member in document["members"]}
            write_atomically(self._kept, {"applied": document, "urls": sorted(self.urls)})


class Registrar:
    """One round after the other. Times are monotonic but for `ts` and `since`, which are Unix times."""

    def __init__(self, roster: Roster, state: Path, poll_s: float, hung_s: float) -> None:
        self._roster = roster
        self._state = state
        self._poll_s = poll_s
        self._hung_s = hung_s
        self._pollers: Dict[Tuple[str, str, int], Poller] = {}
        self._health: Dict[str, Health] = {}
        self._sent: Dict[str, float] = {}  # when the router may last have read a registration
        self._taken: Dict[str, float] = {}  # when it is known to have read one
        self._listed: Dict[str, str] = {}  # mode `admin`: url -> name of what is on the router's list
        self._waiting = False  # mode `admin`: some member is not on the router's list yet
        self._shown: Dict[str, Tuple[bool, float]] = {}
        self._router = (False, time.time(), "not tried yet")
        self._withheld: Set[str] = set()
        self._alerts: List[str] = []
        self._log = Log()
        before = read_json(state)
        told = before["members"] if before.get("schema") == SCHEMA else []
        self._ill = {(member["name"], member["generation"]) for member in told if member["why"].startswith("withheld")}

    def _judged(self) -> List[Json]:
        """Read the members file, keep one poller per member, and answer who is to be registered now."""
        self._roster.load()
        members = self._roster.current["members"]
        wanted = {(member["name"], member["http_address"], member["generation"]): member for member in members}
        for key in set(self._pollers) - set(wanted):
            self._pollers.pop(key).ended.set()
        for key in set(wanted) - set(self._pollers):
            ill = (key[0], key[2]) in self._ill
            self._ill.discard((key[0], key[2]))
            health = Health(self._hung_s, time.monotonic() if ill else None)
            self._pollers[key] = Poller(key[1], health, self._poll_s)
            self._pollers[key].start()
        self._health = {key[0]: self._pollers[key].health for key in wanted}
        unfit = {name: health.since for name, health in self._health.items() if health.since is not None}
        self._withheld, self._alerts = choose_withheld(members, unfit)
        return [member for member in members if member["name"] not in self._withheld]

    def _messages(self) -> List[Json]:
        """The registrations to send right now."""
        members = self._judged()
        self._sent.update((member["name"], time.monotonic()) for member in members)
        return [registration(member) for member in members]

    def _reconcile(self) -> None:
        """Make the router's own list of workers hold the members, and nothing else of ours."""
        wanted = {"http://" + member["http_address"]: member["name"] for member in self._judged()}
        router = self._roster.current["router"]["http"]
        status, body = http("GET", router, "/list_workers")
        if status != 200:
            raise ValueError("/list_workers answers {}".format(status))
        listed = set(json.loads(body.decode())["urls"])
        self._listed = {url: self._listed.get(url, url) for url in listed & self._roster.urls}
        for url in set(self._listed) - set(wanted):
            http("POST", router, "/remove_worker?url=" + url)
            self._listed.pop(url)
        for url in set(wanted) - listed:  # the call waits for the worker's health: ask for healthy ones only
            if self._health[wanted[url]].good and http("POST", router, "/add_worker?url=" + url)[0] == 200:
                listed.add(url)
        self._waiting = not set(wanted) <= listed
        self._listed.update((url, name) for url, name in wanted.items() if url in listed)
        self._taken = {name: time.monotonic() for name in self._listed.values()}
        self._sent.update(self._taken)

    def _told_by_now(self, begun: float) -> None:
        """Whom this round named may have been heard of until now: whoever waits for its eviction counts from here."""
        now = time.monotonic()
        self._sent.update((name, now) for name, at in list(self._sent.items()) if at >= begun)

    def round(self) -> None:
        """Tell the router, then say in the state file what it was told."""
        begun = time.monotonic()
        self._roster.load()
        try:
            if self._roster.current["mode"] == "admin":
                self._reconcile()
            else:
                announce(self._roster.current["router"]["discovery"], self._messages)
                self._taken.update((name, at) for name, at in self._sent.items() if at >= begun)
                self._told_by_now(begun)
            reachable, why = True, "ok"
        except (*FAILURES, KeyError, TypeError) as error:  # whatever the router answers, the rounds go on
            self._told_by_now(begun)
            self._judged()
            reachable, why = False, str(error)
            if isinstance(error, ConnectionRefusedError):
                self._taken, self._listed = {}, {}  # that router process is gone, and what it knew with it
        since = self._router[1] if reachable == self._router[0] else time.time()
        self._router = (reachable, since, why)
        self._report()

    def _report(self) -> None:
        """Write the state file. Ages are as of `ts`: a reader adds the file's own age."""
        now, applied = time.monotonic(), self._roster.current
        names = [member["name"] for member in applied["members"]]
        self._sent = {name: at for name, at in self._sent.items() if name in names or now - at < DEPARTED_S}
        leaving = [{"name": name, "generation": 0} for name in self._listed.values() if name not in names]
        members = [self._member(member, now) for member in applied["members"] + leaving]
        self._shown = {member["name"]: (member["registered"], member["since"]) for member in members}
        reachable, since, why = self._router
        departed = [{"name": n, "last_sent_age_s": now - at} for n, at in self._sent.items() if n not in names]
        state = {
            "schema": SCHEMA,
            "ts": time.time(),
            "monotonic": now,
            "pid": os.getpid(),
            "epoch": applied["epoch"],
            "seq": applied["seq"],
            "mode": applied["mode"],
            "router": {"reachable": reachable, "since": since, "why": why},
            "members": members,
            "departed": departed,
            "alerts": ([self._roster.trouble] if self._roster.trouble else []) + self._alerts,
        }
        write_atomically(self._state, state)
        self._log.tell(state, now)

    def _member(self, member: Json, now: float) -> Json:
        name = member["name"]
        health, sent = self._health.get(name, LEAVING), self._sent.get(name)
        registered = name not in self._withheld and now - self._taken.get(name, now - 2 * TAKEN_S) < TAKEN_S
        why = "ok" if registered else "not taken by the router yet"
        if health is LEAVING:
            registered, why = True, "leaving: still on the router's list"
        elif name in self._withheld:
            why = "withheld: " + health.last
        elif not registered and not self._router[0]:
            why = "router down: " + self._router[2]
        was, since = self._shown.get(name, (None, 0.0))
        return {
            "name": name,
            "generation": member["generation"],
            "registered": registered,
            "why": why,
            "since": since if registered == was else time.time(),
            "last_sent_age_s": None if sent is None else now - sent,
            "health": {"good": health.good, "bad": health.bad, "last": health.last},
        }

    def run(self) -> None:
        """For ever: a round each second, at once when the members file changes, sooner while something is awaited."""
        while True:
            begun, seen = time.monotonic(), self._roster.signature()
            self.round()
            pause = ROUND_S if self._router[0] and not self._waiting else RETRY_S
            while time.monotonic() - begun < pause and self._roster.signature() == seen:
                time.sleep(LOOK_S)


def leave(_signal: int, _frame: Optional[FrameType]) -> None:
    """There is nothing to finish: what the router was told expires by itself."""
    os._exit(0)


def main() -> None:
    """Parse the command line and run until SIGTERM."""
    parser = argparse.ArgumentParser(description="keeps a router's list of members")
    parser.add_argument("--members", type=Path, required=True, help="the members file; pdctl replaces it")
    parser.add_argument("--state", type=Path, required=True, help="where to say who is registered")
    parser.add_argument("--poll-s", type=float, default=1.0, help="between two polls of a member")
    parser.add_argument("--hung-s", type=float, default=30.0, help="work without progress for that long is a hang")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    roster = Roster(options.members, options.state.with_name(options.state.name + ".applied"))
    Registrar(roster, options.state, options.poll_s, options.hung_s).run()


if __name__ == "__main__":
    main()

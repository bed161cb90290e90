"""Node side: processes as /proc shows them. Identity is (boot id, pid, start time); a pid alone is never signalled.

A unit's processes are found three ways, because engines rename themselves (`setproctitle`), start sessions of their
own and outlive their parents: by descent, by the session of the main process, and by the marks in their environment.
"""

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNIT_MARK = "PDCTL_UNIT"
INCARNATION_MARK = "PDCTL_INCARNATION"
GENERATION_MARK = "PDCTL_GENERATION"
GPUS_MARK = "PDCTL_GPUS"
STATE_MARK = "PDCTL_STATE"
KILL_WAIT_S = 10.0  # longest wait for a SIGKILLed process to go; past it, it hangs in the kernel (D state)


class Stat:
    """The fields of /proc/<pid>/stat that identity and descent need (proc(5)); `start` is in ticks since boot."""

    __slots__ = ("pid", "ppid", "session", "start", "state")

    def __init__(self, pid: int, state: str, ppid: int, session: int, start: int) -> None:
        self.pid = pid
        self.state = state
        self.ppid = ppid
        self.session = session
        self.start = start


def stat_of(pid: int) -> "Stat | None":
    """The process, or None where there is none, or only a zombie is left of it."""
    try:
        with open("/proc/{}/stat".format(pid), "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return Stat(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def is_alive(pid: int, start: int) -> bool:
    """Whether the very process that was recorded still runs."""
    found = stat_of(pid)
    return found is not None and found.start == start


def all_pids() -> "list[int]":
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def process_table() -> "dict[int, Stat]":
    found = [stat_of(pid) for pid in all_pids()]
    return {stat.pid: stat for stat in found if stat is not None}


def environment(pid: int) -> "dict[str, str]":
    """The environment the process was started with; empty where it may not be read."""
    try:
        with open("/proc/{}/environ".format(pid), "rb") as file:
            pairs = [item.partition(b"=") for item in file.read().split(b"\0")]
    except OSError:
        return {}
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, _, value in pairs if name}


def marked(unit: str, cluster_dir: str, incarnation: "str | None") -> "list[int]":
    """Processes that carry the unit's marks; `incarnation` None: those of every launch that `cluster_dir` kept.

    A unit's name alone is not enough: another login, or another simulated node, may have one of the same name on this
    machine, with a state directory of its own.
    """
    mark = "{}={}".format(UNIT_MARK, unit).encode()
    found = []
    for pid in all_pids():
        try:
            with open("/proc/{}/environ".format(pid), "rb") as file:
                if mark not in file.read().split(b"\0"):
                    continue
        except OSError:
            continue
        variables = environment(pid)
        if incarnation is None:
            ours = variables.get(STATE_MARK) == cluster_dir
        else:
            ours = variables.get(INCARNATION_MARK) == incarnation
        if ours:
            found.append(pid)
    return found


def live_generations(cluster_dir: str) -> "list[int]":
    """Generations of the processes that `cluster_dir` kept and that live, whatever became of their records."""
    found = []
    for pid in all_pids():
        variables = environment(pid)
        generation = variables.get(GENERATION_MARK, "")
        if variables.get(STATE_MARK) == cluster_dir and generation.isdigit():
            found.append(int(generation))
    return found


def marked_gpus() -> "list[tuple[str, str, set[int]]]":
    """(unit, generation, GPUs) of every living process of ours that holds GPUs, as its environment says."""
    found = []
    for pid in all_pids():
        variables = environment(pid)
        gpus = {int(gpu) for gpu in variables.get(GPUS_MARK, "").split(",") if gpu.isdigit()}
        if gpus and UNIT_MARK in variables and stat_of(pid) is not None:
            found.append((variables[UNIT_MARK], variables.get(GENERATION_MARK, "?"), gpus))
    return found


def with_descendants(roots: "list[int]", table: "dict[int, Stat]") -> "dict[int, int]":
    """{pid: start} of the roots that live and of everything below them."""
    children: "dict[int, list[int]]" = {}
    for stat in table.values():
        children.setdefault(stat.ppid, []).append(stat.pid)
    found = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in table and pid not in found:
            found[pid] = table[pid].start
            waiting.extend(children.get(pid, ()))
    return found


def below(pid: int) -> "dict[int, int]":
    """{pid: start} of every living descendant of `pid`."""
    found = with_descendants([pid], process_table())
    found.pop(pid, None)
    return found


def remains_of(
    unit: str, cluster_dir: str, incarnation: "str | None", main: "tuple[int, int] | None"
) -> "dict[int, int]":
    """{pid: start} of what lives of a launch that no keeper watches. `main`: the recorded (pid, start)."""
    table = process_table()
    roots = [pid for pid in marked(unit, cluster_dir, incarnation) if pid in table]
    if main is not None and main[0] in table and table[main[0]].start == main[1]:
        # A session id cannot be given out again while its leader lives, so these are its own.
        roots += [stat.pid for stat in table.values() if stat.session == main[0]]
    found = with_descendants(roots, table)
    found.pop(os.getpid(), None)
    return found


def send(targets: "dict[int, int]", number: int) -> None:
    """Signal those that still are who they were."""
    for pid, start in targets.items():
        if is_alive(pid, start):
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue


def wait_gone(
    find: "Callable[[], dict[int, int]]", wait_s: float, reap: "Callable[[], object]" = lambda: None
) -> "dict[int, int]":
    """Poll `find` until it is empty or the time is over; what is left."""
    until = time.monotonic() + wait_s
    pause_s = 0.005
    while True:
        reap()
        left = find()
        if not left or time.monotonic() >= until:
            return left
        time.sleep(pause_s)
        pause_s = min(0.1, pause_s * 1.5)


def sweep(
    find: "Callable[[], dict[int, int]]", grace_s: float, reap: "Callable[[], object]" = lambda: None
) -> "tuple[int, dict[int, int]]":
    """SIGTERM, the grace, SIGKILL until nothing is found: (how many had to be signalled, what survived)."""
    swept: "set[tuple[int, int]]" = set()
    left = find()
    if left and grace_s > 0:
        swept.update(left.items())
        send(left, signal.SIGTERM)
        left = wait_gone(find, grace_s, reap)
    until = time.monotonic() + KILL_WAIT_S
    while left and time.monotonic() < until:
        swept.update(left.items())
        send(left, signal.SIGKILL)
        left = wait_gone(find, 0.2, reap)
    return len(swept), left


def describe(pid: int) -> str:
    """`pid 4711 (python3 -m vllm serve ...)`, as short as an error line needs it."""
    try:
        with open("/proc/{}/cmdline".format(pid), "rb") as file:
            words = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        words = ""
    return "pid {} ({})".format(pid, words[:80] + ("..." if len(words) > 80 else "")) if words else "pid {}".format(pid)

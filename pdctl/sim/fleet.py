"""`python -m pdctl.sim.fleet`: simulated nodes on this machine, alive as long as their owner.

With `--owner-fd` the owner is whoever holds the other end of that pipe: when it closes, by whatever end, the fleet and
everything on its nodes is killed. Without it the fleet lives until SIGTERM or SIGINT. `--detached` leaves it running
in a session of its own, with its log in its directory; it empties the directory when it ends. `ready` on stdout means
that every node serves and `fleet.json` says where.
"""

from __future__ import annotations

import argparse
import os
import random
import selectors
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from pdctl.sim.fleet_inventory import Layout, parse_layout
from pdctl.sim.fleet_record import LOG, AlreadyUp, ForeignDirectory, own_identity, remove_contents, take_directory
from pdctl.sim.node_env import MARKER

START_S = 60.0  # for all nodes to serve; they need well under a second each


def main(argv: Sequence[str] | None = None) -> int:
    """Run a fleet to its end; the exit status: 0 ended as asked, 1 could not start, 75 one is up there already."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse_options(arguments)
    if MARKER not in os.environ:
        os.environ[MARKER] = uuid.uuid4().hex  # /proc/<pid>/environ shows only what was there at the exec
        os.execv(sys.executable, [sys.executable, "-m", "pdctl.sim.fleet", *arguments])  # noqa: S606
    if not sys.platform.startswith("linux"):
        print("simulated nodes need Linux (subreapers, 127.0.0.0/8)", file=sys.stderr)
        return 1
    if options.detached:
        return _detach(options)
    return _own_directory(options, announce=1)


def _own_directory(options: argparse.Namespace, *, announce: int) -> int:
    try:
        lock = take_directory(options.dir, own_identity(os.environ[MARKER]))
    except AlreadyUp as error:
        print(error, file=sys.stderr)
        return 75
    except (ForeignDirectory, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        if options.detached:
            _log_to(options.dir / LOG)
        return 0 if options.clean else _run(options, announce)
    finally:
        if options.clean or options.detached:
            remove_contents(options.dir)
        os.close(lock)


def _detach(options: argparse.Namespace) -> int:
    """Run the fleet in a session of its own, so that no terminal's end reaches it; return once it serves.

    Whoever waits here may be killed: a fleet that cannot announce itself any more ends.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.setsid()
        sys.exit(_own_directory(options, announce=writing))
    os.close(writing)
    if os.read(reading, 16):
        print("ready")
        return 0
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    log = options.dir / LOG
    if status == 1 and log.exists():  # without a log it spoke to our stderr
        print(log.read_text(errors="replace").strip(), file=sys.stderr)
    return status


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def parse_options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pdctl.sim.fleet", description="Simulated nodes on this machine.")
    parser.add_argument("--dir", type=lambda text: Path(text).absolute(), required=True, help="the fleet's directory")
    parser.add_argument("--nodes", type=int, help="how many; default: as many as the layout needs")
    parser.add_argument("--layout", type=parse_layout, default=Layout(2, 3), help="like 2P3D; other nodes are spares")
    parser.add_argument("--owner-fd", type=int, help="a pipe whose end is the fleet's end")
    parser.add_argument("--detached", action="store_true", help="leave the fleet running in the background")
    parser.add_argument("--clean", action="store_true", help="only remove what a dead fleet left in the directory")
    parser.add_argument("--cluster", default="demo")
    parser.add_argument("--mode", choices=("read", "write"), default="write", help="KV transfer mode")
    parser.add_argument("--startup-s", type=float, default=1.0, help="simulated load time of an engine")
    parser.add_argument("--prefill-tokens", type=int, default=16384, help="of one step of a prefill engine")
    parser.add_argument("--decode-seqs", type=int, default=256, help="of one step of a decode engine")
    parser.add_argument("--ttft", default="1s", help="the inventory's target")
    parser.add_argument("--itl", default="50ms", help="the inventory's target")
    parser.add_argument("--router-port", type=int, help="default: a free one")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="environment of every engine")
    parser.add_argument("--python", default=sys.executable, help="runs the engines and the router")
    options = parser.parse_args(argv)
    options.nodes = options.nodes or options.layout.nodes
    if not options.layout.nodes <= options.nodes <= 250:
        parser.error(f"--nodes must be {options.layout.nodes} to 250 for that layout")
    if any("=" not in pair for pair in options.env):
        parser.error("--env wants NAME=VALUE")
    return options


def _run(options: argparse.Namespace, announce: int) -> int:
    # Signals first: from here on an end is an orderly one. Handlers only wake the selector.
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(woken)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    owner = _take_over(options.owner_fd)
    announce = os.dup(1) if announce == 1 else announce
    os.dup2(2, 1)  # nodes and commands must not hold the announcement's pipe

    from pdctl.sim.fleet_nodes import Herd  # asyncssh costs a quarter of a second: once, here, for all nodes
    from pdctl.sim.fleet_plan import plan_fleet, publish
    from pdctl.sim.fleet_watch import Watch

    herd = Herd()
    try:
        fleet = plan_fleet(options, os.environ[MARKER], random.Random())
        reading, ready = os.pipe()
        herd.fork(fleet.planned, ready=ready)
        os.close(ready)
        with selectors.DefaultSelector() as selector:
            watch = Watch(selector, herd, signals=waking, owner=owner)
            if not watch.until_ready(reading, len(fleet.planned), deadline_s=START_S):
                return 0 if watch.ended else 1
            record = publish(fleet, herd.pids)
            os.write(announce, b"ready\n")
            os.close(announce)
            watch.until_end(fleet.directory, record)
        return 0
    except OSError as error:
        print(f"the fleet could not start: {error}", file=sys.stderr)
        return 1
    finally:
        herd.end()


def _take_over(descriptor: int | None) -> int | None:
    """Our own close-on-exec copy of the owner's pipe; /dev/null takes the place of stdin."""
    own = None if descriptor is None else os.dup(descriptor)
    if descriptor is not None and descriptor > 2:
        os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return own


if __name__ == "__main__":
    sys.exit(main())

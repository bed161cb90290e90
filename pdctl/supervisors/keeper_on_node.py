"""Node side: the keeper, one small process per unit. It starts the engine, waits, sweeps, and writes down how it ended.

It is forked off the `start` action, detached (own session, nothing inherited: a channel that a background process
holds open never ends), and a child subreaper, so that workers which left the engine's session still are below it.
It holds `alive` locked for its whole life: the lock is what others take as proof of it. Secrets are in its memory
alone and in the environment of the engine. If it is killed, the engine lives on and `stop` works without it.

    keeper.json  {"keeper": {pid, start}, "child": {pid, start, at}, "restarts", "last_exit"}   before the exec
    stop.json    {"now"}        written by `stop` before its SIGTERM
    exit.json    {"status", "signal", "at", "requested", "forced", "leftovers", "survivors", "reason", "last_lines"}
"""

import errno
import json
import os
import resource
import signal
import time

from pdctl.supervisors.node_state_on_node import read_json, write_json
from pdctl.supervisors.proc_on_node import below, describe, stat_of, sweep, wait_gone
from pdctl.supervisors.unit_log_on_node import tail_lines, trim_log
from pdctl.supervisors.unit_on_node import EVIDENCE_LINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36  # linux/prctl.h
SETTLE_S = 0.1  # helpers that end when their parent does are no leftovers
GRACE_S = 2.0  # SIGTERM to SIGKILL for workers whose main process is gone
RESTART_FIRST_S, RESTART_CAP_S, STEADY_S = 0.2, 10.0, 30.0
LOG_CHECK_S = 2.0
EXEC_FAILED = 127  # as in sh


class Keeper:
    """Keeps one launch. `directory`: the unit's; `spec`: its record; `env`: the whole environment of the engine."""

    def __init__(self, directory: str, spec: "dict[str, Any]", env: "dict[str, str]", umask: int) -> None:
        self.directory = directory
        self.spec = spec
        self.env = env
        self.umask = umask
        self.log = os.path.join(directory, "log")
        self.restarts = 0
        self.last_exit: "dict[str, Any] | None" = None
        self.status = 0  # of the main process, as wait(2) gives it
        self.child = 0
        self.stopping = False

    def run(self, report_fd: int) -> None:
        """Keep the unit until it ends for good. The first exec's outcome goes to `report_fd` as one JSON object."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
        pause_s = RESTART_FIRST_S
        while True:
            began = time.monotonic()
            failure = self.launch()
            if report_fd >= 0:
                report(report_fd, {"failure": failure})
                report_fd = -1
            evidence = self.watch(failure)
            self.last_exit = evidence
            if self.stopping or self.spec["restart"] != "always" or (failure and not self.restarts):
                self.record("exit.json", evidence)
                return
            pause_s = RESTART_FIRST_S if time.monotonic() - began > STEADY_S else pause_s
            self.note("{}; restart {} in {:.1f} s".format(evidence["reason"] or "ended", self.restarts + 1, pause_s))
            if self.stop_asked_in_pause(pause_s):
                self.record("exit.json", dict(evidence, requested=True))
                return
            self.restarts += 1
            pause_s = min(RESTART_CAP_S, pause_s * 2)

    def launch(self) -> str:
        """Start the main process; why it could not be, or "". It execs only once its identity is on disk."""
        go_read, go_write = os.pipe()
        error_read, error_write = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            os.close(go_write)
            os.close(error_read)
            self.become_engine(go_read, error_write)
        os.close(go_read)
        os.close(error_write)
        stat = stat_of(self.child)
        child = {"pid": self.child, "start": stat.start if stat else 0, "at": time.time()}
        written = self.record("keeper.json", dict(self.facts(), child=child))
        if written:
            os.write(go_write, b"g")
        os.close(go_write)
        with os.fdopen(error_read, "rb") as file:
            failure = file.read().decode("utf-8", "replace")
        return failure if written else "the state directory cannot be written"

    def facts(self) -> "dict[str, Any]":
        me = stat_of(os.getpid())
        return {
            "keeper": {"pid": os.getpid(), "start": me.start if me else 0},
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }

    def become_engine(self, go_fd: int, error_fd: int) -> None:
        """In the child: a session of its own, default signals, the log as output; then exec. Never returns."""
        try:
            os.setsid()
            log_fd = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.dup2(log_fd, 1)
            os.dup2(log_fd, 2)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK):  # RDMA pins memory; many ranks, many fds
                hard = resource.getrlimit(limit)[1]
                resource.setrlimit(limit, (hard, hard))
            os.umask(self.umask)
            home = self.env.get("HOME", "/")
            os.chdir(home if os.path.isdir(home) else "/")
            if os.read(go_fd, 1):
                os.execvpe(self.spec["argv"][0], self.spec["argv"], self.env)
        except OSError as error:
            os.write(error_fd, (error.strerror or str(error)).encode())
        except BaseException as error:
            os.write(error_fd, repr(error).encode())
        finally:
            os._exit(EXEC_FAILED)

    def watch(self, failure: str) -> "dict[str, Any]":
        """Wait for the main process's end, stop it when asked, sweep what it left; the evidence.

        SIGTERM goes to the main process alone (an unreaped child, so the id cannot be another's): vLLM's workers die
        of it at once, and with them every answer that the engine would have drained (measured with vLLM 0.32).
        """
        deadline = None
        forced = False
        checked = time.monotonic()
        while not self.reap():
            now = time.monotonic()
            if deadline is not None and now >= deadline and not forced:
                forced = True
                os.kill(self.child, signal.SIGKILL)
            if now - checked >= LOG_CHECK_S:
                checked = now
                self.trim()
            due_s = LOG_CHECK_S if deadline is None or forced else min(LOG_CHECK_S, max(0.001, deadline - now))
            if self.stop_asked_within(due_s):
                wanted = time.monotonic() + self.stop_budget_s()
                if deadline is None and wanted > time.monotonic():
                    os.kill(self.child, signal.SIGTERM)
                deadline = wanted if deadline is None else min(deadline, wanted)  # asking again never lengthens it
        leftovers, survivors = self.sweep_workers(deadline)
        return self.evidence(failure, forced, leftovers, survivors)

    def stop_asked_within(self, wait_s: float) -> bool:
        """Sleep until a child ends, a stop is asked for (True) or the time is over."""
        got = signal.sigtimedwait((signal.SIGCHLD, signal.SIGTERM), wait_s)
        asked = got is not None and got.si_signo == signal.SIGTERM
        self.stopping = self.stopping or asked
        return asked

    def stop_asked_in_pause(self, pause_s: float) -> bool:
        """Wait out the pause before a restart, whatever ends meanwhile; whether a stop was asked for."""
        until = time.monotonic() + pause_s
        while not self.stopping and time.monotonic() < until:
            self.stop_asked_within(max(0.001, until - time.monotonic()))
        return self.stopping

    def stop_budget_s(self) -> float:
        order = read_json(os.path.join(self.directory, "stop.json")) or {}
        return 0.0 if order.get("now") else float(self.spec["stop_s"])

    def reap(self) -> bool:
        """Collect every ended child, adopted ones too; whether the main process is among those collected so far."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                return self.child == 0
            if pid == self.child:
                self.status = status
                self.child = 0

    def sweep_workers(self, deadline: "float | None") -> "tuple[int, dict[int, int]]":
        """End what is left below us. A stop whose budget is spent leaves no grace."""

        def find() -> "dict[int, int]":
            return below(os.getpid())

        left_s = GRACE_S if deadline is None else min(GRACE_S, deadline - time.monotonic())
        if left_s > 0 and not wait_gone(find, min(SETTLE_S, left_s), self.reap):
            return 0, {}
        return sweep(find, left_s, self.reap)

    def evidence(self, failure: str, forced: bool, leftovers: int, survivors: "dict[int, int]") -> "dict[str, Any]":
        signalled = os.WIFSIGNALED(self.status)
        number = os.WTERMSIG(self.status) if signalled else 0
        return {
            "status": None if signalled else os.WEXITSTATUS(self.status),
            "signal": signal_name(number) if signalled else None,
            "at": time.time(),
            "requested": self.stopping,
            "forced": forced,
            "leftovers": leftovers,
            "survivors": [describe(pid) for pid in survivors],
            "reason": "cannot run {}: {}".format(self.spec["argv"][0], failure) if failure else "",
            "last_lines": tail_lines(self.log, EVIDENCE_LINES),
        }

    def record(self, name: str, value: "dict[str, Any]") -> bool:
        """Write one of our files; a full disk must not end the keeper."""
        try:
            write_json(os.path.join(self.directory, name), value, durable=False)
        except OSError:
            return False
        return True

    def note(self, text: str) -> None:
        try:
            with open(self.log, "a") as file:
                file.write("[pdctl] {}\n".format(text))
        except OSError:
            return

    def trim(self) -> None:
        try:
            trim_log(self.log, self.spec["log_cap_bytes"])
        except OSError:
            return


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return "signal {}".format(number)


def report(fd: int, value: "dict[str, Any]") -> None:
    """Tell the `start` action; it may be gone, which changes nothing for the unit."""
    try:
        os.write(fd, json.dumps(value).encode())
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
    os.close(fd)


def detach(keep_fds: "set[int]") -> None:
    """In the keeper: nothing of the channel that started us is kept."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep_fds:
            try:
                os.close(int(name))
            except OSError:  # the descriptor of the listing itself
                continue
    try:
        import ctypes  # here, after the fork: it costs what starting Python costs, and `start` is waited for

        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(PR_SET_NAME, b"pdctl-keeper", 0, 0, 0)
    except (
        ImportError,
        OSError,
        AttributeError,
    ):  # without it, workers that left the session are found by their marks only
        return


def spawn_keeper(keeper: Keeper, alive_fd: int, wait_s: float) -> str:
    """Fork `keeper` off and wait for its first exec: why that failed, or "". `alive_fd` is locked, and goes to it.

    One fork is enough: this program ends right after, and whoever adopts orphans adopts the keeper.
    """
    report_read, report_write = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            detach({alive_fd, report_write})
            keeper.run(report_write)
        except BaseException as error:
            keeper.note("the keeper failed: {!r}".format(error))
        finally:
            os._exit(0)
    os.close(report_write)
    os.close(alive_fd)
    return first_report(report_read, wait_s)


def first_report(fd: int, wait_s: float) -> str:
    os.set_blocking(fd, False)
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            time.sleep(0.002)
            continue
        return str(json.loads(data.decode())["failure"]) if data else "its keeper died at once"
    return "no exec within {:.0f} s (does its file system hang?)".format(wait_s)

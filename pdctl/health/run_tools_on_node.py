"""Node side: one tool as a process group with a deadline, its output capped. Stdlib only, Python 3.6.

Nothing here waits: `pump` takes what there is. A group that SIGKILL does not end (a driver hangs it in D-state) is
left behind, and said to be.
"""

import os
import shutil
import signal
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

GRACE_S = 0.5  # from SIGKILL until a process counts as one that cannot be killed; from its end until its pipes do
ROOT_MARGIN_S = 1.0  # root's own deadline comes first: it can kill the tool, and we only what started it
BY_TIMEOUT = (124, 137, -9)  # the status of `timeout` that killed what it ran
STDERR_BYTES = 16 << 10
RUNAWAY_BYTES = 64 << 20  # more output than this ends the tool: nothing we run has so much to say
SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/opt/rocm/bin")


def environment(path: str) -> "dict[str, str]":
    """The login's environment with a PATH that has what login shells often leave out, and outputs in English."""
    places = [place for place in [*path.split(":"), *os.environ.get("PATH", "").split(":"), *SEARCHED] if place]
    return dict(os.environ, PATH=":".join(places), LC_ALL="C", LANG="C", PAGER="cat")


class Output:
    """The beginning or the end of what came through one pipe."""

    def __init__(self, limit: int, keep: str) -> None:
        self.limit = limit
        self.keep = keep
        self.data = bytearray()
        self.seen = 0

    def feed(self, data: bytes) -> None:
        self.seen += len(data)
        if self.keep == "tail":
            self.data += data
            if len(self.data) > 2 * self.limit:
                del self.data[: -self.limit]
        else:
            self.data += data[: max(0, self.limit - len(self.data))]

    def text(self) -> str:
        kept = self.data[-self.limit :] if self.keep == "tail" else self.data
        if self.keep == "tail" and self.seen > self.limit:
            kept = kept[kept.find(b"\n") + 1 :]
        return bytes(kept).decode("utf-8", "replace")


class Tool:
    """One command of the order. `start` it, then `pump` until it is `done`; `item` is what the envelope holds."""

    def __init__(self, command: "Facts", env: "dict[str, str]", as_root: bool, refused: str = "") -> None:
        self.command = command
        self.env = env
        self.as_root = as_root
        self.item = {"argv": command["argv"], "refused": refused}  # type: Facts
        self.done = False
        self.killed = 0.0
        self.ended = 0.0
        self.process = None  # type: subprocess.Popen[bytes] | None
        self.outputs = {}  # type: dict[int, Output]
        self.stdout = Output(command["max_bytes"], command["keep"])
        self.stderr = Output(STDERR_BYTES, "tail")

    def start(self) -> None:
        """Not found, or not to be started: it is done at once, with the reason."""
        self.began = time.monotonic()
        program = shutil.which(self.command["argv"][0], path=self.env["PATH"])
        if program is None:
            self.item["refused"] = "not found"
            self.done = True
            return
        # A deadline beside ours: the login cannot kill what runs as root, and we may be killed before we kill anything.
        margin_s = 0.0 if self.as_root else ROOT_MARGIN_S
        argv = ["timeout", "-s", "KILL", "%g" % (self.command["timeout_s"] + margin_s), program]
        argv += self.command["argv"][1:]
        if self.as_root:
            argv = ["sudo", "-n", "--", *argv]
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.env,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            self.item["refused"] = "sudo: not found" if self.as_root and error.errno == 2 else str(error)
            self.done = True
            return
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for pipe, output in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr)):
            os.set_blocking(pipe.fileno(), False)
            self.outputs[pipe.fileno()] = output

    def pump(self) -> None:
        """Take what it wrote, end it at its deadline, and see whether it has ended."""
        assert self.process is not None
        for fd, output in list(self.outputs.items()):
            self._take(fd, output)
        now = time.monotonic()
        status = self.process.poll()
        if status is not None and not self.ended:
            self.ended = now
        overdue = now - self.began > self.command["timeout_s"] + (ROOT_MARGIN_S if self.as_root else 0.0)
        if not self.killed and status is None and (overdue or self.stdout.seen > RUNAWAY_BYTES):
            self.item["timed_out"] = overdue
            self.kill()
        closed = not self.outputs
        if self.ended and (closed or now - self.ended > GRACE_S):  # what it left running may hold its pipes
            if self.as_root and status in BY_TIMEOUT and now - self.began >= self.command["timeout_s"]:
                self.item["timed_out"] = True
            self._finish(None if self.killed or self.item.get("timed_out") else status)
        elif self.killed and now - self.killed > GRACE_S:
            self.item["refused"] = self.item["refused"] or "it could not be killed"
            self._finish(None)

    def kill(self) -> None:
        """SIGKILL to the whole group. Where that is not ours to signal, `timeout` on root's side does it."""
        self.killed = time.monotonic()
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except OSError:
                pass

    def _take(self, fd: int, output: Output) -> None:
        for _ in range(64):  # 4 MiB a turn: a tool that never stops writing is not the only one
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                del self.outputs[fd]
                return
            output.feed(data)

    def _finish(self, status: "int | None") -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if self.process.poll() is not None:  # whatever it started and left is ended too
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.stdout.close()
        self.process.stderr.close()
        self.outputs.clear()
        self.item.update(
            status=status,
            seconds=round(time.monotonic() - self.began, 3),
            stdout=self.stdout.text(),
            stderr=self.stderr.text(),
            truncated=self.stdout.seen > self.stdout.limit,
        )
        self.done = True

    def refused_root(self) -> str:
        """What sudo said where it did not run the command at all; "" where it did."""
        said = self.item.get("stderr", "").strip().splitlines()
        if not self.as_root:
            return ""
        if self.item["refused"]:
            return str(self.item["refused"]) if self.item["refused"].startswith("sudo:") else ""
        return said[-1] if self.item.get("status") == 1 and said and said[-1].startswith("sudo:") else ""

    def brought_data(self) -> bool:
        return self.item.get("status") == 0 and bool(self.item.get("stdout", "").strip())

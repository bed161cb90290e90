"""One SSH session of a simulated node: a command between an SSH channel and three pipes, with back-pressure both ways.

It behaves as OpenSSH's sshd does without a terminal: the command runs as `/bin/sh -c` in a session of its own; the
channel ends when the command has ended *and* its outputs are closed; a client that goes away closes the pipes and kills
nothing, and signal requests are not delivered (measured with OpenSSH 9.2: the remote process lives on).
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import asyncssh

from pdctl.sim.node_children import Children
from pdctl.sim.node_env import NodeConfig

CANNOT_EXECUTE = 126  # what a shell answers for a command that it found and could not run


@dataclass(frozen=True, slots=True)
class Command:
    """How this session runs its command. `noise` goes to stdout first, `delay_s` passes before the start."""

    node: NodeConfig
    children: Children
    environment: Callable[[dict[str, str]], dict[str, str]]
    noise: str = ""
    delay_s: float = 0.0


class CommandSession(asyncssh.SSHServerSession[bytes]):
    """`closed` is called once when the channel is gone, so that sessions can be counted."""

    def __init__(self, command: Command, closed: Callable[[], None]) -> None:
        self._command = command
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._argv = ["/bin/sh"]
        self._gone = False
        self._stdin: _Stdin | None = None
        self._early: list[bytes] = []  # input that came before the command had its pipes
        self._early_end = False
        self._outputs: list[_Output] = []
        self._ended_outputs = 0
        self._result: int | None = None
        self._task: asyncio.Task[None] | None = None

    # -- what the client asks for

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.chan = chan

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._argv = ["/bin/sh", "-c", command]
        return True

    def session_started(self) -> None:
        self._task = self._loop.create_task(self._run())

    # -- the channel's side of the data

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._stdin is None:
            self._early.append(data)
        else:
            self._stdin.write(data)

    def eof_received(self) -> bool:
        self._early_end = True
        if self._stdin is not None:
            self._stdin.end()
        return True  # our direction stays open

    def pause_writing(self) -> None:
        for output in self._outputs:
            output.pause()

    def resume_writing(self) -> None:
        for output in self._outputs:
            output.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if self._stdin is not None:
            self._stdin.abort()
        for output in self._outputs:
            output.close()
        self._closed()

    # -- the command's side

    async def _run(self) -> None:
        if self._command.noise:
            self.chan.write(self._command.noise.encode())
        if self._command.delay_s:
            await asyncio.sleep(self._command.delay_s)
        if self._gone:
            return
        try:
            child = self._command.children.start(
                self._argv,
                env=self._command.environment(dict(self.chan.get_environment())),
                cwd=self._command.node.home,
                on_exit=self._exited,
            )
        except OSError as error:
            self.chan.write_stderr(f"/bin/sh: {error.strerror}\n".encode())
            self.chan.exit(CANNOT_EXECUTE)
            return
        await self._connect(child)

    async def _connect(self, child: subprocess.Popen[bytes]) -> None:
        chan = self.chan
        self._outputs = [_Output(chan.write, self._output_ended), _Output(chan.write_stderr, self._output_ended)]
        for output, pipe in zip(self._outputs, (child.stdout, child.stderr), strict=True):
            await self._loop.connect_read_pipe(lambda output=output: output, pipe)  # type: ignore[misc]
        stdin = _Stdin(chan)
        await self._loop.connect_write_pipe(lambda: stdin, child.stdin)
        self._stdin = stdin
        for data in self._early:
            stdin.write(data)
        self._early.clear()
        if self._early_end:
            stdin.end()
        if self._gone:
            self._stdin.abort()
            for output in self._outputs:
                output.close()

    def _exited(self, result: int) -> None:
        self._result = result
        self._finish()

    def _output_ended(self) -> None:
        self._ended_outputs += 1
        if self._ended_outputs == len(self._outputs) and not self._gone:
            self.chan.write_eof()
        self._finish()

    def _finish(self) -> None:
        if self._gone or self._result is None or self._ended_outputs < 2:
            return
        if self._stdin is not None:
            self._stdin.abort()
        if self._result < 0:
            self.chan.exit_with_signal(signal.Signals(-self._result).name.removeprefix("SIG"))
        else:
            self.chan.exit(self._result)


class _Output(asyncio.Protocol):
    """One of the command's outputs on its way to the channel."""

    def __init__(self, write: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._write = write
        self._ended = ended
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ended()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Stdin(asyncio.BaseProtocol):
    """The command's input: pauses the channel while the pipe is full, swallows what nobody reads any more."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._chan.resume_reading()

    def pause_writing(self) -> None:
        self._chan.pause_reading()

    def resume_writing(self) -> None:
        # Not at once: what the channel held back would come from inside the transport's own write, and asyncio
        # (seen with 3.11) closes it there and then, data unwritten, if that ends with end-of-file.
        asyncio.get_running_loop().call_soon(self._chan.resume_reading)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def end(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def abort(self) -> None:
        """Close at once. A transport that has nothing to write closes already after `end`, and must not twice."""
        transport = self._transport
        if transport is not None and (transport.get_write_buffer_size() or not transport.is_closing()):
            transport.abort()

"""The registrar as a program: its encoding, its syntax, and the traps of loopback TCP."""

from __future__ import annotations

import ast
import socket
import struct
import sys

import msgpack
import pytest

from pdctl.routers.bundle import registrar_source
from pdctl.routers.registrar_wire_on_node import Wire, frame, http, pack, registration
from tests.waiting import free_port


@pytest.mark.parametrize(
    "value", [{}, {"dp_size": 0, "tp_size": 127}, {"a": 128, "b": 70_000}, {"zmq": "x" * 40_000, "name": "knoten-ä"}]
)
def test_messages_decode_with_msgpack(value: dict[str, object]) -> None:
    assert msgpack.unpackb(pack(value)) == value


@pytest.mark.parametrize("length", [0, 255, 256, 70_000])
def test_frames_carry_their_length(length: int) -> None:
    sent = frame(b"x" * length)
    if length > 255:
        assert struct.unpack(">BQ", sent[:9]) == (2, length)
    else:
        assert tuple(sent[:2]) == (0, length)
    assert sent.endswith(b"x" * length)


def test_registration_leaves_pdctls_own_fields_out() -> None:
    member = {"name": "n.a.0", "generation": 4, "type": "D", "http_address": "h:1", "zmq_address": "z"}
    sizes = {"dp_size": 8, "tp_size": 1}
    assert registration({**member, **sizes, "transfer_mode": None}) == {
        "type": "D",
        "http_address": "h:1",
        "zmq_address": "z",
        **sizes,
    }


def test_program_is_one_file_of_python_3_6_and_the_standard_library() -> None:
    tree = ast.parse(registrar_source(), feature_version=(3, 6))
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    } | {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert "dataclasses" not in imported, "came with 3.7"


def test_port_that_meets_itself_is_no_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP's simultaneous open: a loopback port that nobody listens on, dialled from that very port."""
    port = free_port()
    narcissus = socket.socket()
    narcissus.bind(("127.0.0.1", port))
    narcissus.connect(("127.0.0.1", port))
    monkeypatch.setattr(socket, "create_connection", lambda *_: narcissus)
    with pytest.raises(ConnectionRefusedError, match="nobody listens"):
        Wire(f"127.0.0.1:{port}", 1.0)
    assert narcissus.fileno() == -1, "it must let go of the router's port"


def test_silent_peer_costs_no_more_than_the_deadline() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(OSError, match="timed out"):
            http("GET", f"127.0.0.1:{silent.getsockname()[1]}", "/health", 0.2)

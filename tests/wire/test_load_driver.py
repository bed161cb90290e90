"""The built-in driver of `pdctl bench` against servers that misbehave in every way that was seen of real ones."""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pdctl.bench.driver import Measured
from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.errors import BenchError
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked, Workload
from tests.waiting import patient
from tests.wire.misbehaving import DONE, STREAMS, USAGE, says
from tests.wire.scripted_http import Script, end, event, head, scripted_server, token, whole

GOOD = head() + token() + token() + token(finish="length") + USAGE + DONE + end()


def point(asked: Sequence[Asked], concurrency: int | None = None, *, deadline_s: float = 10.0) -> Point:
    return Point("here", "test", "c1", 0, Workload(tuple(asked), concurrency), deadline_s)


async def drive(url: str, what: Point, driver: BuiltinDriver | None = None, **target: Any) -> Measured:
    """Without a warm-up; fails if the rows that were told are not those that are returned."""
    told: list[Row] = []
    made = driver or BuiltinDriver(warm_up=0)
    measured = await made.run(what, Target(url, "tiny", **target), on_row=told.append, stop=lambda: False)
    assert sorted(told, key=lambda row: row.index) == list(measured.rows)
    return measured


async def ask(script: Script, *, deadline_s: float = 10.0) -> Row:
    async with scripted_server(script) as url:
        return (await drive(url, point([Asked(0.0, 4, 3)], deadline_s=deadline_s))).rows[0]


@pytest.fixture
def closed_url() -> Iterator[str]:
    """A port that is taken, so that nobody else listens there, and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(("script", "outcome", "detail"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
async def test_outcome(script: Script, outcome: Outcome, detail: str) -> None:
    row = await ask(script)
    assert row.outcome is outcome
    said = row.refusal if outcome is Outcome.REFUSED else row.error
    assert detail in said
    assert bool(row.refusal or row.error) == row.outcome.failed


ODD: list[tuple[str, Script, Outcome, str]] = [
    ("empty body", says(whole(200, "", "text/event-stream")), Outcome.CUT, "empty body"),
    ("whole answer to a stream", says(whole(200, '{"error":{"message":"boom"}}')), Outcome.ERROR, "boom"),
    (
        "redirect",
        says(b"HTTP/1.1 307 T\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n"),
        Outcome.ERROR,
        "redirect",
    ),
    ("no HTTP", says(b"SSH-2.0-OpenSSH_9.2\r\n"), Outcome.CUT, "no HTTP/1.1 answer"),
    ("continue, then whole", says(b"HTTP/1.1 100 Continue\r\n\r\n", GOOD), Outcome.OK, ""),
    ("body until the close", says(b"HTTP/1.0 200 OK\r\n\r\n", *[b"data: [DONE]\n\n"]), Outcome.CUT, "finish_reason"),
]


@pytest.mark.parametrize(("script", "outcome", "detail"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
async def test_outcome_of_an_odd_answer(script: Script, outcome: Outcome, detail: str) -> None:
    row = await ask(script)
    assert row.outcome is outcome
    assert detail in row.error


async def test_nobody_listens(closed_url: str) -> None:
    row = (await drive(closed_url, point([Asked(0.0, 4, 3)]))).rows[0]
    assert (row.outcome, row.attempts, row.status) == (Outcome.REFUSED, 1, None)
    assert "no connection" in row.refusal


async def test_a_row_tells_ids_counts_and_instances() -> None:
    zmq = "host:10.0.0.{},handshake:6301,notify:61005"
    name = f"cmpl-___prefill_addr_{zmq.format(1)}___decode_addr_{zmq.format(2)}_{'0a' * 16}-0"
    tokens = [event({"id": name, "choices": [{"text": "a", "finish_reason": stop}]}) for stop in (None, "length")]
    row = await ask(says(head(), *tokens, USAGE, DONE, end()))
    assert (row.request_id, row.prefill, row.decode) == (name, "10.0.0.1:6301", "10.0.0.2:6301")
    assert (row.outcome, row.tokens, row.prompt_tokens, len(row.gaps_s), row.status) == (Outcome.OK, 3, 4, 1, 200)


async def test_a_server_that_hangs_is_cut_at_the_deadline() -> None:
    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        writer.write(head() + token())
        await asyncio.sleep(60)

    row = await ask(script, deadline_s=0.5)
    assert (row.outcome, row.tokens) == (Outcome.CUT, 1)
    assert "within 0.5 s" in row.error


async def test_a_body_that_never_ends_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdctl.bench.drivers.connection._AFTER_DONE_S", 0.1)

    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        writer.write(GOOD.removesuffix(end()))
        await asyncio.sleep(60)

    async with asyncio.timeout(patient(5)):
        assert (await ask(script)).ok


async def test_a_load_that_stands_still_ends_and_names_what_was_in_flight() -> None:
    async def script(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        writer.write(GOOD if body["max_tokens"] == 1 else head() + token())
        await asyncio.sleep(60 if body["max_tokens"] > 1 else 0)

    asked = [Asked(0.0, 4, 1), Asked(0.0, 4, 3), Asked(0.01, 4, 3), Asked(9000.0, 4, 3)]
    async with scripted_server(script) as url, asyncio.timeout(patient(10)):
        measured = await drive(url, point(asked), BuiltinDriver(warm_up=0, stall_s=0.4))
    assert "2 requests in flight: #1, #2" in measured.stall
    assert not measured.stopped
    assert [row.outcome for row in measured.rows] == [Outcome.OK, Outcome.CUT, Outcome.CUT]
    assert all("stalled" in row.error for row in measured.rows[1:])


async def test_told_to_stop_it_sends_no_more_and_what_is_in_flight_ends_whole() -> None:
    told: list[Row] = []
    async with scripted_server(says(GOOD)) as url:
        measured = await BuiltinDriver(warm_up=0).run(
            point([Asked(0.0, 4, 3)] * 50, 2), Target(url, "m"), on_row=told.append, stop=lambda: len(told) >= 3
        )
    assert measured.stopped
    assert 3 <= len(measured.rows) == len(told) <= 5
    assert all(row.ok for row in told)


async def test_the_limit_holds_on_the_wire_and_the_warm_up_is_not_counted() -> None:
    asked: list[Mapping[str, Any]] = []
    at_once = most = 0

    async def script(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        nonlocal at_once, most
        asked.append(body)
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        writer.write(GOOD)

    what = point([Asked(0.0, 8 if n % 2 else 900, 3) for n in range(12)], 4)
    async with scripted_server(script) as url:
        measured = await drive(url, what, BuiltinDriver(warm_up=2))
    assert most == 4
    assert len(measured.rows) == 12
    assert [len(body["prompt"]) for body in asked[:4]] == [900, 900, 8, 8]
    assert len({tuple(body["prompt"]) for body in asked}) == 16


async def test_a_point_that_goes_on_asks_what_is_left_of_it() -> None:
    prompts: list[tuple[int, ...]] = []

    async def script(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        prompts.append(tuple(body["prompt"]))
        writer.write(GOOD)

    whole = point([Asked(0.0, 64, 3)] * 4, 1)
    left = replace(whole, workload=Workload(whole.workload.asked[:2], 1), indices=(1, 3))
    async with scripted_server(script) as url:
        await drive(url, whole)
        measured = await drive(url, left)
    assert [row.index for row in measured.rows] == [1, 3]
    assert prompts[4:] == [prompts[1], prompts[3]]


@pytest.fixture
def few_files() -> Iterator[None]:
    """This process may open only a few more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - names only
    limit = resource.setrlimit  # the test takes the name away, and may give it back after this
    limit(resource.RLIMIT_NOFILE, (highest + 12, hard))
    yield
    limit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_running_out_of_files_is_no_refusal_of_the_server(
    few_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    async with scripted_server(says(GOOD)) as url:
        with pytest.raises(BenchError, match="this machine has no more"):
            await drive(url, point([Asked(0.0, 4, 3)] * 400))


@asynccontextmanager
async def keeping_server(closes_at: Callable[[int], bool]) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that keeps connections, but closes one without a word at the n-th request where `closes_at(n)`; and the
    number of connections so far, in a list."""
    opened, asked = [0], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        opened[0] += 1
        try:
            while True:
                sent = await reader.readuntil(b"\r\n\r\n")
                length = sent.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                asked += 1
                if closes_at(asked):
                    break
                writer.write(GOOD.replace(b"connection: close\r\n", b""))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", opened


async def test_connections_are_kept() -> None:
    async with keeping_server(lambda _: False) as (url, opened):
        measured = await drive(url, point([Asked(0.0, 4, 3)] * 9, 1))
    assert all(row.ok for row in measured.rows)
    assert opened == [1]


async def test_a_kept_connection_that_closes_as_a_request_is_sent_costs_no_request() -> None:
    async with keeping_server(lambda n: n == 3) as (url, _):
        measured = await drive(url, point([Asked(0.0, 4, 3)] * 4, 1))
    assert [(row.ok, row.attempts) for row in measured.rows] == [(True, 1), (True, 1), (True, 2), (True, 1)]


async def test_a_new_connection_that_closes_without_an_answer_is_a_cut_request() -> None:
    async with keeping_server(lambda n: n == 1) as (url, _):
        measured = await drive(url, point([Asked(0.0, 4, 3)], 1))
    assert [(row.outcome, row.attempts) for row in measured.rows] == [(Outcome.CUT, 1)]


async def test_a_name_without_an_address_is_no_load() -> None:
    with pytest.raises(BenchError, match=r"no address for nowhere\.invalid"):
        await drive("http://nowhere.invalid", point([Asked(0.0, 4, 3)]))


async def test_https_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD)
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        stranger = (await drive(url, point([Asked(0.0, 4, 3)]))).rows[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        known = (await drive(url, point([Asked(0.0, 4, 3)]))).rows[0]
    assert (stranger.outcome, known.outcome) == (Outcome.REFUSED, Outcome.OK)
    assert "certificate" in stranger.refusal


def self_signed(place: Path) -> Path:
    """Key and certificate of "localhost" in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = place / "localhost.pem"
    path.write_bytes(plain + certificate.public_bytes(encoding))
    return path

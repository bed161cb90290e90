"""The registrar as a process, before a discovery socket of our own: what it sends, when, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.waiting import patient, wait_until
from tests.wire.fake_engine import FakeEngine
from tests.wire.registrar_rig import entry, registrar_rig, stop
from tests.wire.zmtp import FakeDiscovery

pytestmark = pytest.mark.fleet


@pytest.fixture
async def discovery() -> AsyncIterator[FakeDiscovery]:
    async with FakeDiscovery() as found:
        yield found


@pytest.fixture
async def engines() -> AsyncIterator[list[FakeEngine]]:
    """Four engines; tests name them as they like."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(FakeEngine()) for _ in range(4)]


async def heard(discovery: FakeDiscovery, *engines: FakeEngine, within_s: float | None = None) -> None:
    """Until each of `engines` has been registered from now on; `within_s` is a claim, not a time to give up."""
    begun = time.monotonic()
    addresses = {engine.address for engine in engines}
    await wait_until(
        lambda: addresses <= discovery.members_since(begun),
        within_s or 10,
        what=f"registered: {addresses}",
        strict=within_s is not None,
    )


async def test_registrations_are_what_vllm_sends(tmp_path: Path, discovery: FakeDiscovery) -> None:
    moriio = {**entry("a.0.0", "P", "127.0.0.1:9"), "dp_size": 8, "zmq_address": "z" * 300}
    nixl = {**entry("b.0.0", "D", "127.0.0.1:10"), "transfer_mode": None, "dp_size": 300}
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(moriio, nixl)
        rig.start()
        await wait_until(lambda: len(discovery.heard) >= 4, 10)
    times = [at for at, message in discovery.heard if message["type"] == "P"]
    assert 0.9 < times[1] - times[0] < patient(2.5)
    assert discovery.heard[0][1] == {
        "type": "P",
        "http_address": "127.0.0.1:9",
        "zmq_address": "z" * 300,
        "dp_size": 8,
        "tp_size": 1,
        "transfer_mode": "WRITE",
    }
    assert "transfer_mode" not in discovery.heard[1][1]
    assert discovery.heard[1][1]["dp_size"] == 300


async def test_change_of_the_file_takes_effect_at_once(
    tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]
) -> None:
    prefill, decode, *_ = engines
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(entry("p", "P", prefill), entry("d", "D", decode))
        rig.start()
        await heard(discovery, prefill, decode)
        begun = time.monotonic()
        rig.write(entry("p", "P", prefill))
        await rig.acknowledged()
        assert time.monotonic() - begun < 0.9
        fenced = time.monotonic()
        await heard(discovery, prefill)
        assert decode.address not in discovery.members_since(fenced)
        assert [former["name"] for former in rig.state["departed"]] == ["d"]


async def test_stalled_router_is_sent_nothing_that_it_could_read_later(
    tmp_path: Path, engines: list[FakeEngine]
) -> None:
    """A stopped router's kernel goes on accepting connections and data: no registration may be among them."""
    with socket.socket() as stalled, registrar_rig(tmp_path, "") as rig:
        stalled.bind(("127.0.0.1", 0))
        stalled.listen(64)
        rig.discovery = f"127.0.0.1:{stalled.getsockname()[1]}"
        rig.write(entry("p", "P", engines[0]))
        rig.start()
        await wait_until(lambda: "timed out" in rig.why("p"), 10, what="the registrar gives a round up")
        await asyncio.sleep(1)  # a few rounds more, for all to pile up
        stop(rig.process)
        stalled.setblocking(False)
        piled: list[bytes] = []
        while True:
            try:
                connection = stalled.accept()[0]
            except BlockingIOError:
                break
            with connection:
                connection.settimeout(1)
                piled.append(connection.makefile("rb").read())
    assert piled
    assert {len(sent) for sent in piled} == {64}, "more than the greeting was sent to a peer that never answered"


async def test_killed_registrar_sends_again_before_anyone_is_forgotten(
    tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]
) -> None:
    prefill, decode, *_ = engines
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(entry("p", "P", prefill), entry("d", "D", decode))
        rig.start()
        await heard(discovery, prefill, decode)
        stop(rig.process)
        rig.members_path.write_text('{"schema": 1, "epo')  # not even a good file is needed
        rig.start()
        await heard(discovery, prefill, decode, within_s=4)  # before the router forgets them
        await wait_until(lambda: "kept out" in " ".join(rig.state["alerts"]), 5, what="the alert")
        assert rig.process is not None
        begun = time.monotonic()
        stop(rig.process, signal.SIGTERM)
        assert (rig.process.returncode, time.monotonic() - begun < patient(2)) == (0, True)


async def test_older_or_broken_file_keeps_the_last_good_members(
    tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]
) -> None:
    prefill, decode, other, _ = engines

    async def kept(because: str) -> None:
        await wait_until(lambda: because in " ".join(rig.state["alerts"]), 10, what=because)
        assert [member["name"] for member in rig.state["members"]] == ["p", "d"]

    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(entry("p", "P", prefill), entry("d", "D", decode), epoch=7)
        rig.start()
        await heard(discovery, prefill, decode)
        rig.write(entry("o", "P", other), epoch=6, seq=99)
        await kept("epoch 6, seq 99 is older than 7, 1")
        rig.write(entry("o", "P", other), epoch=7, seq=0)
        await kept("epoch 7, seq 0 is older")
        half = rig.members_path.read_text()
        rig.members_path.write_text(half[: len(half) // 2])
        await kept("kept out")
        rig.members_path.write_text(json.dumps({**json.loads(half), "seq": 50, "members": [{"name": "o"}]}))
        await kept("not a members file")
        rig.members_path.unlink()
        await kept("No such file")
        await heard(discovery, prefill, decode)
        stop(rig.process)
        rig.write(entry("o", "P", other), epoch=6, seq=100)
        rig.start()  # the highest epoch survives a restart
        await kept("epoch 6, seq 100 is older")
        await heard(discovery, prefill, decode)
        assert other.address not in discovery.members_since(0.0)
        rig.write(entry("p", "P", prefill), entry("d", "D", decode), entry("o", "P", other), epoch=8, seq=1)
        await heard(discovery, other)
        await wait_until(lambda: rig.state["alerts"] == [], 10, what="no alert is left")


async def test_unhealthy_member_is_withheld_and_comes_back(
    tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]
) -> None:
    good, bad, hung, alone = engines
    members = [entry("good", "D", good), entry("bad", "D", bad), entry("hung", "D", hung), entry("alone", "P", alone)]
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(*members)
        rig.start()
        await wait_until(lambda: rig.registered == {"good", "bad", "hung", "alone"}, 10)
        bad.health = 503
        alone.health = 503
        await wait_until(lambda: rig.registered == {"good", "hung", "alone"}, 10, what="the bad one is withheld")
        assert rig.why("bad") == "withheld: /health answers 503"
        await wait_until(lambda: any("alone is bad" in alert for alert in rig.state["alerts"]), 10)
        await hung.close()  # one of three is out already, and that is as many as may be
        await wait_until(lambda: any("hung is bad" in alert for alert in rig.state["alerts"]), 10)
        assert rig.registered == {"good", "hung", "alone"}
        begun = time.monotonic()
        await heard(discovery, good, hung, alone)
        assert bad.address not in discovery.members_since(begun)
        bad.health = 200
        await wait_until(
            lambda: rig.registered == {"good", "bad", "alone"}, 10, what="its place goes to the next bad one"
        )
        assert "refused" in rig.why("hung")


async def test_hung_engine_with_a_healthy_answer_is_withheld(
    tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]
) -> None:
    good, hung, waits_for_kv, mute = engines
    names = {"good": good, "hung": hung, "waits": waits_for_kv, "mute": mute}
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(*(entry(name, "D", engine) for name, engine in names.items()))
        rig.start()
        await wait_until(lambda: rig.registered == set(names), 10)
        hung.running = 1
        mute.metrics_text = "something else entirely 1\n"
        mute.running = 1
        waits_for_kv.metrics_text = (
            "vllm:num_requests_running 0\nvllm:num_requests_waiting 2\nvllm:iteration_tokens_total_count 5\n"
            'vllm:generation_tokens_total 5\nvllm:num_requests_waiting_by_reason{reason="deferred"} 2\n'
        )
        good.running = 1

        def advance() -> bool:
            good.iterations += 1
            return "hung" not in rig.registered

        await wait_until(advance, 10, what="the hung one is withheld")
        assert rig.why("hung").startswith("withheld: hung: work but no progress")
        assert rig.registered == {"good", "waits", "mute"}, "unknown is no fault, nor is waiting for a peer's KV"
        stop(rig.process)
        rig.start()  # a restart is no amnesty
        polls = len(hung.polls)
        await wait_until(lambda: len(hung.polls) > polls + 4, 10)
        process = rig.process
        await wait_until(lambda: process is not None and rig.state["pid"] == process.pid, 10)
        assert rig.why("hung").startswith("withheld")
        hung.iterations += 1
        await wait_until(lambda: "hung" in rig.registered, 10, what="it moves again")


async def test_one_silent_member_delays_no_other(
    tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]
) -> None:
    silent, quick, *_ = engines
    silent.health = 0
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(entry("s", "P", silent), entry("q", "P", quick))
        rig.start()
        await wait_until(lambda: len(quick.polls) >= 10, 10, what="the quick one is polled on")
        await heard(discovery, silent, quick)


async def test_state_tells_how_old_it_is(tmp_path: Path, discovery: FakeDiscovery, engines: list[FakeEngine]) -> None:
    with registrar_rig(tmp_path, discovery.address) as rig:
        rig.write(entry("p", "P", engines[0]))
        rig.start()
        await wait_until(lambda: rig.registered == {"p"}, 10)
        first = rig.state
        await wait_until(lambda: rig.state["ts"] > first["ts"] + 0.9, 10)
        assert abs(time.time() - rig.state["ts"]) < patient(1.5)
        assert rig.process is not None and rig.state["pid"] == rig.process.pid
        assert rig.state["members"][0]["since"] == first["members"][0]["since"]
        assert rig.state["members"][0]["last_sent_age_s"] < patient(1.0)
        assert rig.state["router"]["reachable"] is True

"""The engine's command line, its environment, request bodies, addresses, faults: everything that is only parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdctl.sim.engine_args import StartupError, check_startup, parse_args
from pdctl.sim.engine_knobs import KnobError, read_knobs
from pdctl.sim.engine_parts import moriio_settings
from pdctl.sim.faults import Faults, UnknownFault, parse_faults
from pdctl.sim.kv_pins import TerminalIds
from pdctl.sim.kv_pull import KvTiming
from pdctl.sim.metric_families import token_buckets
from pdctl.sim.moriio_peer import Peer, find_peer, parse_zmq_address, zmq_address
from pdctl.sim.openai_api import ApiError, CompletionAsk, parse_ask
from pdctl.sim.transfer import FrameReader, encode


def kv(**extra: Any) -> str:
    return json.dumps({"kv_connector": "MoRIIOConnector", "kv_role": "kv_producer", "kv_connector_extra_config": extra})


def test_command_line_of_a_published_prefill() -> None:
    args = parse_args(
        [
            *("serve", "deepseek-ai/DeepSeek-R1", "-tp", "1", "--port", "20005", "--trust-remote-code"),
            *("--data-parallel-size", "8", "--enable-expert-parallel", "--max-num-batched-tokens", "16k"),
            *("--max_num_seqs=256", "--no-enable-prefix-caching", "--all2all-backend", "mori_high_throughput"),
            *("--gpu_memory_utilization", "0.9", "--kv-transfer-config", kv(http_port=20005, handshake_port="6301")),
            *("--cudagraph-capture-sizes", "1", "2", "4", "--shutdown-timeout", "60", "-O3", "--enforce-eager"),
        ]
    )
    assert (args.tp, args.dp, args.max_num_seqs, args.max_num_batched_tokens) == (1, 8, 256, 16000)
    assert (args.served_names, args.shutdown_timeout_s) == (("deepseek-ai/DeepSeek-R1",), 60.0)
    assert args.kv is not None and args.kv.extra["handshake_port"] == "6301"


@pytest.mark.parametrize(
    "argv",
    [
        ["serve"],
        ["bench", "m"],
        ["serve", "m", "--no-such-flag"],
        ["serve", "m", "--max-num-seqs", "0"],
        ["serve", "m", "--max-num-seq", "4"],
        ["serve", "m", "--kv-transfer-config", "{"],
    ],
)
def test_what_argparse_refuses_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_args(argv)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        (["--kv-transfer-config", kv()], "KeyError: 'http_port'"),
        (["--kv-transfer-config", kv(http_port=1), "--enable-sleep-mode"], "sleep mode"),
        (["--max-model-len", "2000", "--num-gpu-blocks-override", "100"], "max seq len"),
    ],
)
def test_what_vllm_refuses_later(argv: list[str], cause: str) -> None:
    with pytest.raises(StartupError, match=cause):
        check_startup(parse_args(["serve", "m", *argv]))


def test_kv_role_is_required() -> None:
    with pytest.raises(StartupError, match="kv_role"):
        parse_args(["serve", "m", "--kv-transfer-config", '{"kv_connector": "NixlConnector"}'])


@pytest.mark.parametrize(("value", "read"), [("true", True), ("1", True), (True, True), (False, False), ("no", False)])
def test_read_mode_comes_from_the_config_only(value: object, read: bool) -> None:
    args = parse_args(["serve", "m", "--kv-transfer-config", kv(http_port=1, read_mode=value)])
    assert args.kv is not None
    knobs = read_knobs({"VLLM_MORIIO_CONNECTOR_READ_MODE": "1"})  # ignored since vLLM 0.23
    assert moriio_settings(args, args.kv, knobs, 30.0).read_mode is read


def test_environment_is_read_and_checked() -> None:
    knobs = read_knobs({"PDCTL_SIM_STARTUP_S": "20", "PDCTL_SIM_FAULTS": "slow_kv=3", "HIP_VISIBLE_DEVICES": "4,5"})
    assert (knobs.startup_s, knobs.faults, knobs.gpus) == (20.0, {"slow_kv": 3.0}, (4, 5))
    for name, value in {
        "PDCTL_SIM_SPEED": "0",
        "PDCTL_SIM_STARTUP_S": "soon",
        "PDCTL_SIM_PROFILE": "h100",
        "PDCTL_SIM_FAULTS": "gremlins",
    }.items():
        with pytest.raises(KnobError, match=name):
            read_knobs({name: value})


def test_faults_are_named_factored_and_cleared() -> None:
    assert parse_faults("slow_kv, hang") == {"slow_kv": 10.0, "hang": 1.0} == parse_faults('{"slow_kv": 10, "hang": 1}')
    faults, heard = Faults(), []
    faults.subscribe(lambda: heard.append(faults.active()))
    faults.set("slow_kv", 4)
    assert faults.slowness == 4.0 and "slow_kv" in faults
    faults.clear()
    assert (faults.slowness, heard) == (1.0, [{"slow_kv": 4.0}, {}])
    with pytest.raises(UnknownFault):
        faults.set("gremlins")


def ask(chat: bool = False, **body: Any) -> CompletionAsk:
    content = json.dumps({"model": "m", **({} if chat else {"prompt": "a b c"}), **body}).encode()
    return parse_ask(content, chat=chat, served_names=("m",), max_model_len=100)


def test_request_bodies() -> None:
    assert (ask().max_tokens, ask().prompt.tokens) == (16, 3)
    assert ask(prompt=[1, 2, 3, 4]).prompt == ask(prompt=[[1, 2, 3, 4]]).prompt
    chat = ask(chat=True, messages=[{"role": "user", "content": [{"type": "text", "text": "hi there"}]}])
    assert (chat.prompt.tokens, chat.max_tokens) == (3, 97)
    assert ask(stream=True, stream_options={"include_usage": True}).include_usage
    assert ask(stop="x").stop == ("x",)


@pytest.mark.parametrize(
    "body",
    [
        {"n": 2},
        {"max_tokens": 0},
        {"max_tokens": 98},
        {"min_tokens": 20},
        {"prompt": []},
        {"prompt": ["a", "b"]},
        {"prompt": [-1]},
        {"stop": 5},
        {"stream_options": {"include_usage": True}},
    ],
)
def test_bad_request_bodies(body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        ask(**body)
    assert caught.value.status == 400
    assert set(caught.value.body()["error"]) == {"message", "type", "param", "code"}


def test_peers_are_found_in_the_request_id_or_named() -> None:
    prefill, decode = Peer("10.0.0.1", 6301, 61005), Peer("10.0.0.2", 7301, 7501)
    name = f"___prefill_addr_{zmq_address(prefill)}___decode_addr_{zmq_address(decode)}_{'0af' * 10}12"
    assert find_peer(name, {}, producer=True) == decode
    assert find_peer(f"cmpl-{name}-0-abcd", {}, producer=False) == prefill
    explicit = {"remote_host": "10.0.0.1", "remote_handshake_port": "6301", "remote_notify_port": 61005}
    assert find_peer("plain", explicit, producer=False) == prefill
    assert find_peer("plain", {}, producer=True) is None
    assert parse_zmq_address("127.0.0.1:5600") is None
    assert (prefill.engine_id, prefill.notify(3)) == ("10.0.0.1:6301", ("10.0.0.1", 61008))


def test_frames_survive_any_cut() -> None:
    messages: list[dict[str, Any]] = [{"type": "a", "n": 1}, {"type": "b", "ids": list(range(50))}]
    stream = b"".join(encode(message) for message in messages)
    reader = FrameReader()
    assert [found for at in range(len(stream)) for found in reader.feed(stream[at : at + 1])] == messages


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", encode({"kind": "x"}), b"\0\0\0\1\x01"])
def test_what_is_no_frame_is_an_error(junk: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame|message"):
        FrameReader().feed(junk)


def test_terminal_ids_are_bounded() -> None:
    ids = TerminalIds(keep=2)
    for key in "abc":
        ids.add(key)
    assert ("a" in ids, "b" in ids, "c" in ids) == (False, True, True)


def test_kv_timing_overlaps_what_was_asked_for_in_time() -> None:
    timing = KvTiming(latency_s=0.01, bytes_per_token=1000, bytes_per_s=1e6, speed=2.0)
    assert timing.transfer_s(100) == pytest.approx(0.055)
    assert timing.transfer_s(100, slowness=3) == pytest.approx(0.165)
    assert timing.tail_s(100, overlapped_s=0.03) == pytest.approx(0.025)
    assert timing.tail_s(100, overlapped_s=9.0) == pytest.approx(0.005)


def test_token_buckets_are_vllms_series() -> None:
    assert token_buckets(1024) == (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

"""vLLM's own command line, as far as it shapes the simulated engine; other known flags are taken and ignored."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pdctl.sim import engine_flags
from pdctl.sim.kv_blocks import blocks_for

MIN_NUM_BLOCKS = 16384
SEQUENCES_THAT_FIT = 4
"""Without --num-gpu-blocks-override the KV cache holds at least this many sequences of full length."""


class StartupError(Exception):
    """vLLM would not start with this; the message is its last traceback line."""


@dataclass(frozen=True, slots=True)
class KvTransferConfig:
    """--kv-transfer-config (vLLM 0.33 config/kv_transfer.py)."""

    connector: str
    role: str
    load_failure_policy: str = "fail"
    engine_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineArgs:
    """What `serve` was asked for. Sizes in tokens, sequences, blocks; `shutdown_timeout_s` 0 aborts on SIGTERM."""

    model: str
    served_names: tuple[str, ...]
    host: str | None
    port: int
    tp: int
    dp: int
    dp_local: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    block_size: int
    num_blocks: int
    gpu_memory_utilization: float
    shutdown_timeout_s: float
    headless: bool
    api_keys: tuple[str, ...]
    load_tracking: bool
    request_id_headers: bool
    access_log: bool
    unlogged_paths: tuple[str, ...]
    max_queued: int | None
    sleep_mode: bool
    prefix_caching: bool
    kv: KvTransferConfig | None


def parse_args(argv: Sequence[str]) -> EngineArgs:
    """Parse `serve MODEL [flags]`. Exits with status 2 on what vLLM's parser refuses; raises StartupError on what
    vLLM refuses later."""
    parser = _parser()
    known = parser.parse_args(_dashes(argv))
    model = known.model_tag or known.model
    if not model:
        parser.error("a model is required")
    kv = _kv_config(parser, known.kv_transfer_config)
    return EngineArgs(
        model=model,
        served_names=tuple(known.served_model_name or [model]),
        host=known.host,
        port=known.port,
        tp=known.tensor_parallel_size,
        dp=known.data_parallel_size,
        dp_local=known.data_parallel_size_local or known.data_parallel_size,
        max_num_seqs=known.max_num_seqs,
        max_num_batched_tokens=known.max_num_batched_tokens,
        max_model_len=known.max_model_len,
        block_size=known.block_size,
        num_blocks=known.num_gpu_blocks_override
        or max(MIN_NUM_BLOCKS, 1 + SEQUENCES_THAT_FIT * blocks_for(known.max_model_len, known.block_size)),
        gpu_memory_utilization=known.gpu_memory_utilization,
        shutdown_timeout_s=known.shutdown_timeout,
        headless=known.headless,
        api_keys=tuple(known.api_key or ()),
        load_tracking=known.enable_server_load_tracking,
        request_id_headers=known.enable_request_id_headers,
        access_log=not known.disable_uvicorn_access_log,
        unlogged_paths=tuple(filter(None, known.disable_access_log_for_endpoints.split(","))),
        max_queued=known.max_num_queued_reqs,
        sleep_mode=known.enable_sleep_mode,
        prefix_caching=known.enable_prefix_caching,
        kv=kv,
    )


def check_startup(args: EngineArgs) -> None:
    """What real engines die of while they start. Raises StartupError."""
    if args.max_model_len > args.block_size * (args.num_blocks - 1):
        raise StartupError(
            f"ValueError: To serve at least one request with the models's max seq len ({args.max_model_len}), more KV "
            f"cache is needed than {args.num_blocks} blocks of {args.block_size} tokens hold."
        )
    if args.kv is None or args.kv.connector != "MoRIIOConnector":
        return
    if "http_port" not in args.kv.extra:
        raise StartupError("KeyError: 'http_port'")
    if args.sleep_mode:
        raise StartupError("ValueError: MoRIIOConnector does not support sleep mode")


def _dashes(argv: Sequence[str]) -> list[str]:
    """vLLM takes `--max_num_seqs` for `--max-num-seqs`; values are left alone."""
    found = []
    for word in argv:
        if word.startswith("--"):
            key, equals, value = word.partition("=")
            word = key.replace("_", "-") + equals + value
        found.append(word)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vllm", usage="vllm serve MODEL [options]", allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--host")
    parser.add_argument("--kv-transfer-config")
    parser.add_argument("--shutdown-timeout", type=float, default=0.0)
    parser.add_argument("--api-key", nargs="+")
    parser.add_argument("--disable-access-log-for-endpoints", default="")
    parser.add_argument("--api-server-count", "-asc", type=int, choices=[0, 1])
    _add_numbers(parser)
    _add_switches(parser)
    _add_ignored(parser)
    return parser


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--tensor-parallel-size", "-tp", type=_positive, default=1)
    parser.add_argument("--data-parallel-size", "-dp", type=_positive, default=1)
    parser.add_argument("--data-parallel-size-local", "-dpl", type=_positive)
    parser.add_argument("--max-num-seqs", type=_positive, default=256)
    parser.add_argument("--max-num-batched-tokens", type=_positive, default=8192)
    parser.add_argument("--max-model-len", type=_positive, default=32768)
    parser.add_argument("--block-size", type=_positive, default=16)
    parser.add_argument("--num-gpu-blocks-override", type=_positive)
    parser.add_argument("--max-num-queued-reqs", type=_positive)
    parser.add_argument("--gpu-memory-utilization", "--device-memory-utilization", type=float, default=0.92)


def _add_switches(parser: argparse.ArgumentParser) -> None:
    for name in ("--headless", "--grpc"):
        parser.add_argument(name, action="store_true")
    for name in (
        "--enable-server-load-tracking",
        "--enable-request-id-headers",
        "--disable-uvicorn-access-log",
        "--enable-sleep-mode",
    ):
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction, default=True)


def _add_ignored(parser: argparse.ArgumentParser) -> None:
    for name in engine_flags.ONE_VALUE:
        parser.add_argument(*_spellings(name))
    for name in engine_flags.SEVERAL_VALUES:
        parser.add_argument(*_spellings(name), nargs="+")
    for name in engine_flags.SWITCHES:
        parser.add_argument(*_spellings(name), action=argparse.BooleanOptionalAction)


def _spellings(name: str) -> tuple[str, ...]:
    return (name, engine_flags.SHORT[name]) if name in engine_flags.SHORT else (name,)


def _positive(text: str) -> int:
    """A count; vLLM reads `16k` as 16000 and `16K` as 16384."""
    factors = {"k": 1000, "m": 10**6, "g": 10**9, "K": 1024, "M": 1024**2, "G": 1024**3}
    factor = factors.get(text[-1:], 1)
    value = float(text[:-1]) if factor != 1 else float(text)
    count = int(value * factor)
    if count < 1 or count != value * factor:
        raise argparse.ArgumentTypeError(f"invalid positive integer value: {text!r}")
    return count


def _kv_config(parser: argparse.ArgumentParser, text: str | None) -> KvTransferConfig | None:
    if text is None:
        return None
    try:
        raw = json.loads(text)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        parser.error(f"argument --kv-transfer-config: Value {text} cannot be converted to <function loads>.")
    connector, role = raw.get("kv_connector"), raw.get("kv_role")
    if not connector:
        return None
    if role not in ("kv_producer", "kv_consumer", "kv_both"):
        raise StartupError(
            "ValueError: Please specify kv_role when kv_connector is set, supported roles are "
            "('kv_producer', 'kv_consumer', 'kv_both')"
        )
    if connector not in ("MoRIIOConnector", "NixlConnector", "DecodeBenchConnector"):
        raise StartupError(f"ValueError: Unsupported connector type: {connector}")
    return KvTransferConfig(
        connector=connector,
        role=role,
        load_failure_policy=str(raw.get("kv_load_failure_policy", "fail")),
        engine_id=raw.get("engine_id"),
        extra=dict(raw.get("kv_connector_extra_config") or {}),
    )

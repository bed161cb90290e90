"""What an engine says of itself: load, version, start-up, cause of death. Unknown is never 0."""

from __future__ import annotations

import pytest

from pdctl.engines.probes import failure_cause, parse_load, parse_version, startup_progress, without_noise


def metrics(*lines: str) -> str:
    return "\n".join(["# HELP vllm:num_requests_running Number of requests.", *lines, ""])


def sample(name: str, value: object, engine: int = 0, **labels: str) -> str:
    said = ",".join(
        [f'engine="{engine}"', 'model_name="a,b} \\"c"', *(f'{key}="{text}"' for key, text in labels.items())]
    )
    return f"vllm:{name}{{{said}}} {value}"


IDLE = (
    sample("num_requests_running", "0.0"),
    sample("num_requests_waiting", "0.0"),
    sample("kv_cache_usage_perc", "0.0"),
)


def test_counts_are_summed_over_ranks_and_the_fullest_cache_counts() -> None:
    load = parse_load(
        metrics(
            sample("num_requests_running", "3.0", 0),
            sample("num_requests_running", "4.0", 1),
            sample("num_requests_waiting", "0.0", 0),
            sample("num_requests_waiting", "2.0", 1),
            sample("num_requests_waiting_by_reason", "1.0", 1, reason="deferred"),
            sample("num_requests_waiting_by_reason", "1.0", 1, reason="capacity"),
            sample("num_requests_kv_fetch_by_stage", "1.0", 1, stage="in_progress"),
            sample("kv_cache_usage_perc", "0.25", 0),
            sample("kv_cache_usage_perc", "0.5", 1),
            sample("iteration_tokens_total_count", "773.0"),
            sample("iteration_tokens_total_sum", "9999.0"),
            sample("prompt_tokens_by_source_total", "0.0", source="local_compute"),
            sample("prompt_tokens_by_source_total", "6192.0", source="external_kv_transfer"),
        )
    )
    assert (load.running, load.waiting, load.kv_usage) == (7, 2, 0.5)
    assert (load.deferred, load.fetching, load.steps) == (1, 1, 773)
    assert (load.local_compute_tokens, load.external_kv_tokens) == (0, 6192)
    assert load.busy is True


def test_an_idle_engine() -> None:
    load = parse_load(metrics(*IDLE))
    assert (load.running, load.waiting, load.kv_usage) == (0, 0, 0)
    assert load.busy is False
    assert load.deferred is None
    assert load.fetching is None


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_family_is_unknown_and_never_idle(missing: int) -> None:
    load = parse_load(metrics(*(line for index, line in enumerate(IDLE) if index != missing)))
    assert [load.running, load.waiting, load.kv_usage].count(None) == 1
    assert load.busy is None


@pytest.mark.parametrize("value", ["NaN", "+Inf", "soon"])
def test_one_rank_that_cannot_be_read_makes_the_sum_unknown(value: str) -> None:
    load = parse_load(metrics(*IDLE, sample("num_requests_running", value, 1)))
    assert load.running is None
    assert load.busy is None


def test_kv_that_nobody_pulled_keeps_a_prefill_busy() -> None:
    assert parse_load(metrics(*IDLE[:2], sample("kv_cache_usage_perc", "0.027"))).busy is True


def test_what_is_no_metrics_page_is_unknown() -> None:
    assert parse_load("<html>502 Bad Gateway</html>").busy is None
    assert parse_load("").running is None


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"version":"0.33.0"}', "0.33.0"),
        (b'{"version":33}', None),
        (b"{}", None),
        (b"[]", None),
        (b"null", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_version(body: bytes, version: str | None) -> None:
    assert parse_version(body) == version


LOG = [
    ("(APIServer pid=1) INFO 11-22 04:01:54 [api_utils.py:286] non-default args: {'port': 8100}", "starting", ""),
    ("(Worker pid=2) INFO 11-22 04:03:25 [cpu_model_runner.py:68] Starting to load model /m...", "loading weights", ""),
    ("Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<00:11,  2.87s/it]", "loading weights", "56%"),
    (
        "(Worker pid=2) INFO 11-22 04:03:25 [default_loader.py:501] Loading weights took 0.01 seconds",
        "weights loaded",
        "",
    ),
    ("(W pid=2) INFO 05-06 21:00:16 [backends.py:1128] Dynamo bytecode transform time: 3.54 s", "compiling", ""),
    (
        "(EngineCore pid=3) INFO 11-22 04:03:28 [kv_cache_utils.py:2327] GPU KV cache size: 8,192 tokens, Maximum",
        "sizing the KV cache",
        "8,192 tokens",
    ),
    ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  45%|####      | 23/51", "capturing graphs", "45%"),
    (
        "(E pid=3) INFO 11-22 [core.py:402] init engine (profile, create kv cache, warmup model) took 1.75 s",
        "warmed up",
        "",
    ),
    ("(APIServer pid=1) INFO 11-22 [entry.py:140] Starting vLLM server on http://127.0.0.1:8100", "listening", ""),
    ("INFO:     Application startup complete.", "ready", ""),
]


@pytest.mark.parametrize(("line", "phase", "detail"), LOG)
def test_every_phase_of_a_start_is_seen(line: str, phase: str, detail: str) -> None:
    found = startup_progress([line, "(Worker pid=2) INFO something else"])
    assert found is not None
    assert (found.phase, found.detail) == (phase, detail)


def test_the_last_phase_counts_and_silence_is_unknown() -> None:
    found = startup_progress([line for line, _, _ in LOG[:7]])
    assert found is not None
    assert found.phase == "capturing graphs"
    assert startup_progress(["hello"]) is None
    assert startup_progress([]) is None


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["OSError: [Errno 98] error while attempting to bind on address: address already in use"], "already in use"),
        (["(W pid=1) ERROR 11-22 03:56:39 [x.py:1] ImportError: MoRIIO is not available"], "MoRI is not installed"),
        (
            ["ValueError: Free memory on device (1.0/192.0 GiB) is less than desired GPU memory use"],
            "GPU memory is held by something else",
        ),
        (["torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2 GiB"], "out of GPU memory"),
        (["vllm: error: unrecognized arguments: --max-modl-len 3"], "unknown command-line flag: --max-modl-len 3"),
        (["vllm serve: error: argument --port: invalid int value: 'x'"], "bad command line: argument --port"),
        (
            [
                "(W pid=1) ERROR 11-22 03:56:39 [multiproc_executor.py:1063] Traceback (most recent call last):",
                "(W pid=1) ERROR 11-22 03:56:39 [multiproc_executor.py:1063] ValueError: block size 16 is too small",
                "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
            ],
            "ValueError: block size 16 is too small",
        ),
    ],
)
def test_the_cause_of_a_failed_start(lines: list[str], cause: str) -> None:
    found = failure_cause(["INFO fine", *lines])
    assert found is not None
    assert cause in found


def test_a_worker_that_was_killed_and_one_that_failed_are_told_apart() -> None:
    died = (
        "(EngineCore pid=7) ERROR 11-22 04:30:34 [multiproc_executor.py:315] Worker proc VllmWorker-0 died unexpectedly"
    )
    failed = "(Worker pid=8) ERROR 11-22 04:30:31 [multiproc_executor.py:1063] ValueError: No common block size for 16"
    cancelled = "(EngineCore pid=7) ERROR 11-22 04:30:35 [core.py:1512] RuntimeError: cancelled"
    assert failure_cause([died, cancelled]) == "worker process VllmWorker-0 died unexpectedly"
    assert failure_cause([failed, died, cancelled]) == "ValueError: No common block size for 16"


def test_what_python_prints_at_its_end_says_nothing() -> None:
    last = "(APIServer pid=6) INFO 11-22 04:30:37 [core_client.py:777] [shutdown] MPClient: complete"
    noise = [
        "nanobind: leaked 514 functions!",
        ' - leaked function "get_int16_ty"',
        " - ... skipped remainder",
        "See https://nanobind.readthedocs.io/en/latest/refleaks.html",
        "/usr/lib/python3.11/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked",
        "  warnings.warn('resource_tracker: There appear to be %d '",
    ]
    assert list(without_noise([last, *noise])) == [last]


def test_no_cause_is_made_up() -> None:
    assert failure_cause(["INFO fine", "Killed"]) is None

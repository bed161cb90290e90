"""Stand-ins for other projects' benchmark tools, run here and on a node, and what becomes of what they leave."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdctl.bench.drivers.aiperf import AiPerf
from pdctl.bench.drivers.guidellm import GuideLlm
from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.on_node import vllm_on_node
from pdctl.bench.drivers.tool import Job, run_tool
from pdctl.bench.drivers.vllm_serve import VllmServe
from pdctl.bench.row import Row
from pdctl.errors import BenchError
from pdctl.model.deployment import DockerSpec, Mount
from pdctl.model.role import EngineKind, SupervisorKind
from pdctl.perf.workload import Asked
from pdctl.ssh.local import LocalShell
from pdctl.ssh.pool import SshShells
from tests.bench_tools import aiperf_record, guidellm_report, guidellm_request, point, stand_in, target, vllm_result
from tests.unit.deployments import DEEPSEEK, mori_1p1d
from tests.waiting import wait_until
from tests.wire.ssh_server import node, serving

VLLM = f"""
where = pathlib.Path(argv[argv.index("--result-dir") + 1], argv[argv.index("--result-filename") + 1])
where.write_text(json.dumps({vllm_result()!r}))
seen = {{"argv": argv, "key": os.getenv("OPENAI_API_KEY"), "seed": os.getenv("PYTHONHASHSEED"), "cwd": os.getcwd()}}
pathlib.Path({{seen!r}}).write_text(json.dumps(seen))
print("  50%|█████ | 1/2 [00:01<00:01]", end="\\r", file=sys.stderr)
print("2 requests done")
"""


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen.json"


def vllm_stand_in(tmp_path: Path, seen: Path, before: str = "") -> Path:
    return stand_in(tmp_path / "bin", "vllm", before + VLLM.replace("{seen!r}", repr(str(seen))))


def never() -> bool:
    return False


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def gone(directory: str) -> bool:
    return not Path(directory).exists()


async def test_vllm_runs_on_a_node_and_its_key_is_in_no_command_line(tmp_path: Path, seen: Path) -> None:
    program, rows = vllm_stand_in(tmp_path, seen), list[Row]()
    async with serving() as server:
        shells = SshShells({"n1": node(tmp_path, server.port)})
        try:
            driver = VllmServe(Means(shells.shell("n1"), (str(program),)))
            measured = await driver.run(point(), target(api_key="sk-'1"), on_row=rows.append, stop=never)
        finally:
            await shells.close()
    assert list(measured.rows) == rows and [row.ok for row in rows] == [True, True]
    assert measured.took_s == 0.6 and measured.raw["result"]["output_throughput"] == 10.0
    found = read(seen)
    assert found["key"] == "sk-'1" and found["seed"]
    assert not any("sk-" in line for line in server.commands) and "sk-" not in json.dumps(measured.raw)
    assert gone(found["cwd"]), "its directory goes with it"


async def test_an_old_vllm_is_told_the_shape_instead_of_a_trace(tmp_path: Path, seen: Path) -> None:
    old = (
        "if 'timed_trace' in argv:\n"
        "    print(\"error: argument --dataset-name: invalid choice: 'timed_trace'\", file=sys.stderr)\n"
        "    sys.exit(2)\n"
    )
    driver = VllmServe(Means(LocalShell(), (str(vllm_stand_in(tmp_path, seen, old)),)))
    assert len((await driver.run(point(), target(), on_row=lambda row: None, stop=never)).rows) == 2
    assert "random" in read(seen)["argv"]
    mixed = point(Asked(0.0, 8, 3), Asked(0.0, 9, 3))
    with pytest.raises(BenchError, match="differ in length"):
        await driver.run(mixed, target(), on_row=lambda row: None, stop=never)


async def test_a_tool_that_is_not_there_and_one_that_fails_are_different_errors(tmp_path: Path) -> None:
    missing = VllmServe(Means(LocalShell(), (str(tmp_path / "nowhere"),)))
    with pytest.raises(BenchError, match="not installed") as absent:
        await missing.run(point(), target(), on_row=lambda row: None, stop=never)
    assert "pip install vllm" in absent.value.hint
    broken = stand_in(tmp_path / "bin", "vllm", "print('loading'); raise OSError('no tokenizer at /models/m')")
    with pytest.raises(BenchError, match=r"status 1: .*OSError: no tokenizer at /models/m$"):
        await VllmServe(Means(LocalShell(), (str(broken),))).run(point(), target(), on_row=lambda row: None, stop=never)


async def test_a_tool_is_killed_when_it_is_told_to_stop(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    body = f"pathlib.Path({str(pids)!r}).write_text(json.dumps([os.getpid(), os.getcwd()])); time.sleep(600)"
    driver = VllmServe(Means(LocalShell(), (str(stand_in(tmp_path / "bin", "vllm", body)),)))
    measured = await driver.run(point(), target(), on_row=lambda row: None, stop=pids.exists)
    assert measured.stopped and not measured.rows
    pid, directory = read(pids)
    await wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5.0, what="the tool is gone")
    assert gone(directory)


async def test_a_pdctl_that_is_killed_leaves_neither_tool_nor_directory(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    body = f"pathlib.Path({str(pids)!r}).write_text(json.dumps([os.getpid(), os.getcwd()])); time.sleep(600)"
    program = stand_in(tmp_path / "bin", "tool", body)
    alone = (
        "import asyncio; from pdctl.bench.drivers.tool import Job, run_tool; from pdctl.ssh.local import LocalShell;"
        f"asyncio.run(run_tool(LocalShell(), Job('tool', [{str(program)!r}], ''), stop=lambda: False))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", alone)
    try:
        await wait_until(lambda: pids.exists() and pids.stat().st_size > 0, 10.0, what="the tool runs")
    finally:
        process.kill()
        await process.wait()
    pid, directory = read(pids)
    await wait_until(lambda: not Path(f"/proc/{pid}").exists() and gone(directory), 5.0, what="all of it is gone")


async def test_a_tool_that_hangs_is_an_error_that_says_so(tmp_path: Path) -> None:
    program = stand_in(tmp_path / "bin", "tool", "print('waiting for the server', flush=True); time.sleep(600)")
    moments = iter(range(0, 10_000, 40))
    with pytest.raises(BenchError, match=r"nothing for 100 s.*waiting for the server"):
        await run_tool(
            LocalShell(), Job("a tool", [str(program)], "", quiet_s=100.0), stop=never, clock=lambda: next(moments)
        )


async def test_progress_is_told_while_it_runs(tmp_path: Path, seen: Path) -> None:
    told: list[tuple[int, int]] = []
    program = vllm_stand_in(
        tmp_path, seen, "print(' 0%| | 0/2 [00:00<?]', file=sys.stderr, flush=True); time.sleep(1)\n"
    )
    driver = VllmServe(Means(LocalShell(), (str(program),), on_progress=lambda done, of: told.append((done, of))))
    await driver.run(point(), target(), on_row=lambda row: None, stop=never)
    assert told and told[0] == (0, 2)


async def test_aiperf_that_fails_because_all_requests_did_still_has_its_rows(tmp_path: Path) -> None:
    error = {"type": "ClientConnectorError", "message": "refused"}
    records = [aiperf_record(position, metrics={}, error=error) for position in range(2)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    body = f"""
out = pathlib.Path(argv[argv.index("--output-artifact-dir") + 1])
assert len(pathlib.Path(argv[argv.index("--input-file") + 1]).read_text().splitlines()) == 2
(out / "profile_export.jsonl").write_text({lines!r})
sys.exit(1)
"""
    driver = AiPerf(Means(LocalShell(), (str(stand_in(tmp_path / "bin", "aiperf", body)),)))
    measured = await driver.run(point(), target(), on_row=lambda row: None, stop=never)
    assert [row.outcome.value for row in measured.rows] == ["refused", "refused"]


async def test_guidellm_reads_everything_from_its_scenario(tmp_path: Path) -> None:
    report = guidellm_report([guidellm_request(100.0, 3), guidellm_request(100.0, 3)])
    body = f"""
spec = json.load(open(argv[argv.index("-c") + 1]))["spec"]
assert spec["backend"]["api_key"] == "sk-1" and open(spec["data"][0]["source"]["path"]).read()
pathlib.Path(spec["outputs"][0]["path"]).write_text(json.dumps({report!r}))
"""
    driver = GuideLlm(Means(LocalShell(), (str(stand_in(tmp_path / "bin", "guidellm", body)),)))
    measured = await driver.run(point(concurrency=2), target(api_key="sk-1"), on_row=lambda row: None, stop=never)
    assert [row.ok for row in measured.rows] == [True, True]
    assert "sk-1" not in json.dumps(measured.raw)
    with pytest.raises(BenchError, match="not after a time"):
        await driver.run(point(duration_s=5.0), target(), on_row=lambda row: None, stop=never)


async def test_vllm_of_an_image_runs_in_a_container_that_sees_its_directory(
    tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = vllm_stand_in(tmp_path, seen)
    stand_in(
        tmp_path / "bin",
        "docker",
        f"""
assert argv[:2] == ["run", "--rm"] and "--init" in argv
assert argv[argv.index("--workdir") + 1] == os.getcwd() and f"{{os.getcwd()}}:{{os.getcwd()}}" in argv
assert argv[argv.index("--entrypoint") + 1] == "vllm"
image = argv.index("rocm/vllm:1")
assert argv[image - 2 : image] == [
    "--mount=type=bind,source=/data,target=/data,readonly",
    "--mount=type=bind,source=/models/DeepSeek-R1,target=/models/DeepSeek-R1,readonly",
]
os.execv({str(inside)!r}, ["vllm", *argv[image + 1 :]])
""",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    base = mori_1p1d()
    engine = replace(base.engine, supervisor=SupervisorKind.DOCKER, image="rocm/vllm:1", kind=EngineKind.VLLM)
    deployment = replace(base, engine=engine, model=DEEPSEEK, docker=DockerSpec(mounts=(Mount("/data", "/data"),)))
    driver = VllmServe(Means(LocalShell(), vllm_on_node(deployment), DEEPSEEK.path))
    measured = await driver.run(point(), target(api_key="sk-1"), on_row=lambda row: None, stop=never)
    assert [row.ok for row in measured.rows] == [True, True]
    assert read(seen)["key"] == "sk-1" and "--tokenizer" in read(seen)["argv"]
    python = replace(engine, supervisor=SupervisorKind.SYSTEMD, python="/opt/vllm/bin/python")
    assert vllm_on_node(replace(base, engine=python)) == ("/opt/vllm/bin/vllm",)
    assert vllm_on_node(replace(base, engine=replace(engine, kind=EngineKind.SIMULATED))) == ()


async def test_a_tool_and_its_tokenizer_are_found_by_relative_paths(
    tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in a directory of its own."""
    vllm_stand_in(tmp_path, seen)
    (tmp_path / "models/m").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    means = Means(LocalShell(), ("bin/vllm",), "models/m").from_here()
    measured = await VllmServe(means).run(point(), target(), on_row=lambda row: None, stop=never)
    assert len(measured.rows) == 2
    assert str(tmp_path / "models/m") in read(seen)["argv"]
    assert Means(LocalShell(), ("vllm",), "org/m").from_here().tokenizer == "org/m"

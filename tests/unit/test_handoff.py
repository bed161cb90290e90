"""Two layouts and a connector: can KV go from one to the other, and what happens to it on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pdctl.advisor.handoff import Handoff, KvHeads, Side, Verdict, handoff
from pdctl.cli.advise.handoff import command
from pdctl.cli.global_options import Globals
from pdctl.model.deployment import Parallel
from pdctl.model.role import Connector, TransferMode

QWEN = KvHeads(4)
R1 = KvHeads(None, mla=True)
READ, WRITE = TransferMode.READ, TransferMode.WRITE


def judged(
    prefill: Parallel,
    decode: Parallel,
    kv: KvHeads,
    mode: TransferMode = WRITE,
    connector: Connector = Connector.MORIIO,
    version: tuple[int, ...] = (0, 33),
    nodes: int = 1,
) -> Handoff:
    return handoff(Side(prefill, 2), Side(decode, nodes), kv, connector=connector, mode=mode, version=version)


@pytest.mark.parametrize(
    ("found", "verdict", "said"),
    [
        pytest.param(judged(Parallel(4), Parallel(4), QWEN), Verdict.YES, "rank k sends to rank k: 1 of 4", id="equal"),
        pytest.param(judged(Parallel(1, 8, True), Parallel(1, 8, True), R1), Verdict.NO, "cannot pin", id="wide dp"),
        pytest.param(
            judged(Parallel(1), Parallel(1, 8, True), R1), Verdict.YES, "takes the whole latent KV", id="mla to dp"
        ),
        pytest.param(
            judged(Parallel(2), Parallel(4), QWEN), Verdict.YES, "2 KV heads are split over 2 decode", id="write split"
        ),
        pytest.param(
            judged(Parallel(4), Parallel(2), QWEN), Verdict.YES, "gathers 2 KV heads from 2 prefill", id="write gather"
        ),
        pytest.param(judged(Parallel(2), Parallel(4), QWEN, READ), Verdict.NO, "use WRITE", id="read re-shards"),
        pytest.param(
            judged(Parallel(4), Parallel(8), QWEN, READ), Verdict.YES, "nothing is re-sharded", id="read of copies"
        ),
        pytest.param(judged(Parallel(2), Parallel(4), R1, READ), Verdict.YES, "latent", id="read of mla"),
        pytest.param(
            judged(Parallel(2), Parallel(4), KvHeads(), READ), Verdict.UNKNOWN, "the number of KV heads", id="unknown"
        ),
        pytest.param(judged(Parallel(2), Parallel(3), KvHeads(6)), Verdict.NO, "a multiple", id="no multiple"),
        pytest.param(judged(Parallel(3), Parallel(3), QWEN), Verdict.NO, "do not divide", id="heads do not divide"),
        pytest.param(judged(Parallel(2, 4), Parallel(8), R1), Verdict.NO, "collide", id="dp and tp"),
        pytest.param(
            judged(Parallel(2), Parallel(4), QWEN, version=(0, 24)), Verdict.NO, "before vLLM 0.25", id="old moriio"
        ),
        pytest.param(
            judged(Parallel(4), Parallel(2), QWEN, connector=Connector.NIXL, version=(0, 12)),
            Verdict.NO,
            "before vLLM 0.13",
            id="old nixl",
        ),
        pytest.param(
            judged(Parallel(4), Parallel(2), QWEN, connector=Connector.NIXL), Verdict.YES, "gathers", id="nixl"
        ),
        pytest.param(
            judged(Parallel(4), Parallel(4), QWEN, connector=Connector.NONE), Verdict.NO, "no connector", id="none"
        ),
    ],
)
def test_what_becomes_of_kv_between_two_layouts(found: Handoff, verdict: Verdict, said: str) -> None:
    assert found.verdict is verdict, found
    assert said in "; ".join((*found.refused, *found.open, *found.moves))


def run(*argv: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(command, argv, obj=Globals(json=True), standalone_mode=False)
    assert done.exception is None, done.output
    return done.return_value, json.loads(done.output)


def test_the_command_reads_the_models_config_and_tells_by_its_exit_code(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"num_attention_heads": 64, "num_key_value_heads": 4}')
    common = ("--connector", "moriio", "--mode", "read", "--engine-version", "0.33", "--model-config", str(config))
    code, said = run("--prefill", "tp2", "--decode", "tp4+ep", *common)
    (pair,) = said["pairs"]
    assert (code, pair["verdict"], pair["decode"]) == (1, "no", "TP4+EP")
    config.write_text('{"num_attention_heads": 128, "kv_lora_rank": 512, "qk_rope_head_dim": 64}')
    assert run("--prefill", "tp2", "--decode", "tp4", *common)[0] == 0


def test_the_command_judges_the_pools_of_an_inventory() -> None:
    inventory = Path(__file__).parents[2] / "inventories" / "r1-2p3d.yaml"
    done = CliRunner().invoke(command, [], obj=Globals(json=True, inventory=inventory), standalone_mode=False)
    (pair,) = json.loads(done.output)["pairs"]
    assert (pair["prefill"], pair["decode"], pair["verdict"]) == ("DP8+EP", "DP8+EP", "yes")

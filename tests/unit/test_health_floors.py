"""T3: figures of GPUs against their floors; what cannot be measured is unknown, what serves is left alone."""

from __future__ import annotations

from dataclasses import replace

from pdctl.control.floor_check import FloorRun
from pdctl.health.expectations import Expectations, Situation, expectations
from pdctl.health.finding import Verdict
from pdctl.health.floors import NodeSpeed, floor_argv, floor_checks, floor_figures, program, speeds
from pdctl.health.judge import judge
from pdctl.health.registry import Registry
from pdctl.model.deployment import EngineSpec
from pdctl.model.reading import Known, Unknown
from pdctl.model.role import EngineKind, SupervisorKind
from pdctl.ssh.fake import Command, FakeShell, FakeShells
from pdctl.ssh.ports import Completed
from tests.unit.deployments import mori_1p1d
from tests.unit.health_fleet import fleet

TOLD = (
    'motd\nPDCTL-FLOOR {"gpu": 0, "tflops": 650.0, "gbytes_per_s": 3900.0}\n'
    'PDCTL-FLOOR {"gpu": 1, "tflops": 310.5, "gbytes_per_s": 3900.0}\n'
    'PDCTL-FLOOR {"gpu": 2, "error": "HIP out of memory"}\nPDCTL-FLOOR {"gpu": 3, "tfl'
)


def solo(serving: frozenset[int] = frozenset(), *, docker: bool = False) -> Expectations:
    deployment = mori_1p1d()
    if docker:
        engine = EngineSpec(EngineKind.VLLM, "0.33", SupervisorKind.DOCKER, image="rocm/vllm:1")
        deployment = replace(deployment, engine=engine)
    return expectations(deployment, deployment.checks, Situation(serving={"solo": serving}))["solo"]


def test_a_slow_gpu_warns_and_one_that_said_nothing_is_unknown() -> None:
    measured = {"solo": NodeSpeed(speeds(TOLD, (4, 5, 6, 7)), Known(312.0, "rccl-tests"))}
    report = judge(fleet({"solo": {}}, deployment=mori_1p1d()), Registry(fleet=floor_checks(measured)))
    gemm = {each.subject.device: each for each in report.findings if each.check == "floor.gemm"}
    assert {device: each.verdict for device, each in gemm.items()} == {
        "gpu4": Verdict.PASS,
        "gpu5": Verdict.FAIL,
        "gpu6": Verdict.UNKNOWN,
        "gpu7": Verdict.UNKNOWN,
    }
    assert (gemm["gpu5"].observed, gemm["gpu5"].expected) == ("310 TFLOPS", ">= 600 TFLOPS")
    assert gemm["gpu5"].slots == ("solo.b",)
    assert gemm["gpu6"].why == "HIP out of memory"
    assert report.exit_code == 0


def test_a_node_that_is_slower_than_its_pool_is_named_even_above_the_floor() -> None:
    def speed(tflops: float) -> NodeSpeed:
        return NodeSpeed(speeds(f'PDCTL-FLOOR {{"gpu": 0, "tflops": {tflops}, "gbytes_per_s": 4000}}', (0,)))

    decode = ("mi300x-03", "mi300x-04", "mi300x-05")
    measured = dict(zip(decode, (speed(800.0), speed(790.0), speed(640.0)), strict=True))
    sent = fleet({name: {} for name in decode})
    report = judge(sent, Registry(fleet=floor_checks(measured), figures=floor_figures(measured)))
    assert [
        (each.check, each.subject.node, each.subject.device) for each in report.findings if each.verdict is Verdict.FAIL
    ] == [("outlier.gemm", "mi300x-05", "gpu0")]


async def test_gpus_that_serve_are_left_alone() -> None:
    shell = FakeShell("solo")
    shell.answer(["env"], stdout=b"")
    await FloorRun(FakeShells({"solo": shell})).measure({"solo": solo(frozenset(range(4)))})
    assert shell.commands[0].argv == ("env", "HIP_VISIBLE_DEVICES=4,5,6,7", "/opt/vllm/bin/python", "-")
    assert shell.commands[0].stdin.decode() == program()
    nothing = FakeShell("solo")
    assert await FloorRun(FakeShells({"solo": nothing})).measure({"solo": solo(frozenset(range(8)))}) == {}
    assert nothing.commands == []


async def test_a_container_is_removed_whatever_became_of_its_run() -> None:
    shell = FakeShell("solo")
    ran: list[str] = []

    def answer(command: Command) -> Completed:
        ran.append(" ".join(command.argv))
        return Completed(1, b"", b"no such image")

    shell.answer(lambda command: True, reply=answer)
    found = await FloorRun(FakeShells({"solo": shell})).measure({"solo": solo(docker=True)})
    assert found["solo"].gpus[0].tflops == Unknown("no such image", "torch on the node")
    assert any("docker rm -f pdctl.mori-1p1d-read.solo.floors" in command for command in ran)


def test_in_a_container_the_engines_image_measures() -> None:
    argv = floor_argv(solo(docker=True), (0, 1))
    assert argv[:2] == ("docker", "run")
    assert "HIP_VISIBLE_DEVICES=0,1" in argv
    assert argv[-2:] == ("rocm/vllm:1", "-")

"""Host checks: one planted fault gives its own finding; clocks, ports and images are compared over nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.health.envelope import Item
from pdctl.health.expectations import PortWanted, Situation
from pdctl.health.finding import Verdict
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import SupervisorKind
from tests.unit.deployments import r1_2p3d
from tests.unit.health_fleet import judge_envelopes
from tests.unit.health_nodes import WALL_S, changed, healthy
from tests.unit.health_verdicts import NODE, findings, passed, said, under

LIMITS = healthy().files["/proc/self/limits"].text
MEMLOCK = next(line for line in LIMITS.splitlines() if line.startswith("Max locked memory"))
LOW_MEMLOCK = LIMITS.replace(MEMLOCK, "Max locked memory         65536                65536                bytes     ")
DF = healthy().items["df"].stdout
ACS_ON = healthy().items["lspci.vvv"].stdout.replace("ACSCtl:\tSrcValid-", "ACSCtl:\tSrcValid+", 1)

FAULTS = {
    "NUMA balancing": (
        {"/proc/sys/kernel/numa_balancing": "1\n"},
        {},
        ("host.numa_balancing", "", "fail", "block"),
    ),
    "a slow governor": (
        {"/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "powersave\n"},
        {},
        ("host.cpu_governor", "", "fail", "warn"),
    ),
    "ACS on a bridge": ({}, {"lspci.vvv": ACS_ON}, ("host.acs", "", "fail", "warn")),
    "a small /dev/shm": (
        {},
        {"df": DF.replace("tmpfs 1099511627776 0 1099511627776 0%", "tmpfs 67108864 0 67108864 0%")},
        ("host.shm", "/dev/shm", "fail", "block"),
    ),
    "little RAM": (
        {"/proc/meminfo": "MemTotal:       2000000000 kB\nMemAvailable:   1000000 kB\n"},
        {},
        ("host.ram", "", "fail", "warn"),
    ),
    "a clock that nobody keeps": (
        {},
        {"chronyc": healthy().items["chronyc"].stdout.replace(": Normal", ": Not synchronised")},
        ("host.clock", "", "fail", "warn"),
    ),
    "a failed unit": (
        {},
        {"systemctl.failed": "nvme.service loaded failed failed NVMe\n1 loaded units listed.\n"},
        ("host.failed_units", "", "fail", "info"),
    ),
    "a stray benchmark": ({}, {"pgrep.bench": "4242\n"}, ("host.stray_bench", "", "fail", "warn")),
    "an orphaned JIT lock": (
        {},
        {"jit.locks": "1.0 /cache\n1790000000.1 /cache/aiter/lock_module_moe\n"},
        ("host.jit_locks", "", "fail", "warn"),
    ),
    "low memlock of an engine": (
        {"/proc/4711/limits": LOW_MEMLOCK},
        {},
        ("host.memlock", "processes on GPUs", "fail", "block"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_one_finding(name: str) -> None:
    files, outputs, expected = FAULTS[name]
    found = findings(changed(healthy(), files=dict(files), outputs=dict(outputs)))
    assert said(found) == {expected}
    assert found[0].evidence


def test_low_memlock_blocks_where_engines_inherit_it_and_warns_where_their_unit_sets_it() -> None:
    envelope = changed(healthy(), files={"/proc/self/limits": LOW_MEMLOCK})
    (own,) = findings(envelope, deployment=under(SupervisorKind.PROCESS))
    assert (own.check, own.blocks) == ("host.memlock", True)
    (unit,) = findings(envelope, deployment=under(SupervisorKind.SYSTEMD))
    assert (unit.check, unit.severity.value) == ("host.memlock", "warn")


def test_iommu_without_passthrough() -> None:
    line = healthy().files["/proc/cmdline"].text.replace("iommu=pt ", "")
    links = {**healthy().links, "/sys/kernel/iommu_groups/0": "/sys/kernel/iommu_groups/0"}
    envelope = changed(healthy(), files={"/proc/cmdline": line}, links=links)
    assert said(findings(envelope)) == {("host.iommu", "", "fail", "warn")}


def test_acs_is_the_hosts_business_in_a_virtual_machine() -> None:
    assert findings(changed(healthy(), outputs={"lspci.vvv": ACS_ON, "virt": "kvm\n"})) == []


def test_ports_of_the_plan_are_free_or_their_holder_is_named() -> None:
    wanted = (PortWanted(20005, "10.1.0.1", "mi300x-01.all.0"), PortWanted(20006, "10.1.0.1", "mi300x-01.all.0"))
    situation = Situation(ports={NODE: wanted})
    assert findings(healthy(), situation=situation) == []
    listening = 'LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nLISTEN 0 9 10.1.0.1:20006 0.0.0.0:* users:(("vllm",pid=7,fd=3))\n'
    (only,) = findings(changed(healthy(), outputs={"ss": listening}), situation=situation)
    assert (only.check, only.blocks, only.observed) == ("host.ports", True, "20006 held by vllm (pid 7)")
    other = listening.replace("10.1.0.1:20006", "10.1.0.2:20006")
    assert findings(changed(healthy(), outputs={"ss": other}), situation=situation) == []
    (cut,) = findings(changed(healthy(), outputs={"ss": listening[:-9]}), situation=situation)
    assert cut.verdict is Verdict.UNKNOWN


def test_the_model_is_missing_on_one_node_and_another_one_on_a_second() -> None:
    there = {
        "model.stat": "/models/DeepSeek-R1 4096 directory\n/models/DeepSeek-R1/config.json 1700 regular file\n",
        "model.sha256": f"{'a' * 64}  /models/DeepSeek-R1/config.json\n",
        "df.model": f"{DF.splitlines()[0]}\nnfs:/m 9000000000000 1 9000000000000 1% /models\n",
    }
    deployment = r1_2p3d()
    nodes = {name: changed(healthy(), outputs=dict(there)) for name in deployment.nodes}
    gone = Item(argv=("stat",), status=1, stderr="stat: cannot statx '/models/DeepSeek-R1': No such file or directory")
    nodes["mi300x-02"] = nodes["mi300x-02"].model_copy(
        update={"items": {**nodes["mi300x-02"].items, "model.stat": gone, "model.sha256": gone}}
    )
    other = {**there, "model.sha256": there["model.sha256"].replace("a" * 64, "b" * 64)}
    nodes["mi300x-05"] = changed(healthy(), outputs=dict(other))
    report, _ = judge_envelopes(deployment, nodes)
    failed = {
        (each.check, each.subject.node)
        for each in report.findings
        if each.verdict is Verdict.FAIL and each.check in ("host.model", "drift.model")
    }
    assert failed == {("host.model", "mi300x-02"), ("drift.model", "mi300x-05")}


def docker() -> Deployment:
    deployment = r1_2p3d()
    engine = replace(deployment.engine, supervisor=SupervisorKind.DOCKER, image="rocm/vllm:nightly")
    return replace(deployment, engine=engine)


def test_images_are_equal_by_id_and_not_by_tag() -> None:
    deployment = docker()
    one, two = (f"sha256:{letter * 64} []\n" for letter in "ab")
    nodes = {name: changed(healthy(), outputs={"docker.image": one}) for name in deployment.nodes}
    nodes["mi300x-03"] = changed(healthy(), outputs={"docker.image": two})
    missing = Item(argv=("docker",), status=1, stderr="Error: No such image: rocm/vllm:nightly\n")
    nodes["mi300x-04"] = healthy().model_copy(update={"items": {**healthy().items, "docker.image": missing}})
    report, _ = judge_envelopes(deployment, nodes)
    failed = {
        (each.check, each.subject.node, each.blocks)
        for each in report.findings
        if each.verdict is Verdict.FAIL and "image" in each.check
    }
    assert failed == {("drift.image", "mi300x-03", True), ("host.image", "mi300x-04", True)}


def test_a_clock_that_is_off_is_told_from_the_controllers() -> None:
    """Three nodes agree and one is 30 s ahead; that the controller itself is an hour off blames nobody."""
    deployment = r1_2p3d()
    right = healthy().model_copy(update={"asked_s": WALL_S - 3602.2, "answered_s": WALL_S - 3599.9})
    nodes = dict.fromkeys(deployment.nodes, right)
    nodes["mi300x-02"] = right.model_copy(update={"wall_s": WALL_S + 30})
    nodes["mi300x-03"] = right.model_copy(update={"asked_s": None})
    report, _ = judge_envelopes(deployment, nodes)
    said_of = {each.subject.node: each for each in report.findings if each.check == "host.clock_offset"}
    assert {name: each.verdict for name, each in said_of.items()} == {
        "mi300x-01": Verdict.PASS,
        "mi300x-02": Verdict.FAIL,
        "mi300x-03": Verdict.UNKNOWN,
        "mi300x-04": Verdict.PASS,
        "mi300x-05": Verdict.PASS,
    }
    assert said_of["mi300x-02"].observed.startswith("+30.")


def test_experts_over_several_nodes_need_paths_across_rails() -> None:
    deployment = r1_2p3d()
    wide = {name: replace(pool, parallel=Parallel(tp=1, dp=16, ep=True)) for name, pool in deployment.pools.items()}
    deployment = replace(deployment, pools=wide)
    assert passed(healthy(), "host.rail_paths", deployment)
    strict = changed(
        healthy(),
        files={"/proc/sys/net/ipv4/conf/rdma4/rp_filter": "1\n", "/proc/sys/net/ipv4/conf/all/rp_filter": "0\n"},
    )
    assert said(findings(strict, deployment=deployment)) == {("host.rail_paths", "mlx5_4", "fail", "block")}
    ruleless = changed(healthy(), outputs={"ip.rule": '[{"priority": 0, "src": "all", "table": "local"}]'})
    assert len(findings(ruleless, deployment=deployment)) == 8
    assert findings(strict) == []


def test_full_disks_block_and_small_ones_warn() -> None:
    head = "Filesystem 1-blocks Used Available Capacity Mounted on\n"
    shm = "tmpfs 1099511627776 0 1099511627776 0% /dev/shm\n"
    full = f"{head}/dev/sda 1000000000000 999999000000 1000000 100% /\n{shm}"
    (only,) = findings(changed(healthy(), outputs={"df": full}))
    assert said([only]) == {("host.disk", "/", "fail", "block")}
    small = f"{head}/dev/sda 1000000000000 950000000000 50000000000 95% /\n{shm}"
    assert said(findings(changed(healthy(), outputs={"df": small}))) == {("host.disk", "/", "fail", "warn")}

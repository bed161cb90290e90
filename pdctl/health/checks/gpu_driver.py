"""The GPU driver: is it there, may this login use it, does it answer, and do all sources see the same devices."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.health.check import Check, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.gpu_amd_smi import LIST
from pdctl.health.gpu_driver import INITSTATE, KFD
from pdctl.health.outputs import absent
from pdctl.model.reading import Known, Unknown
from pdctl.model.role import SupervisorKind

_ITEMS = {"amd-smi": LIST, "lspci": "lspci", "rocminfo": "rocminfo"}
JOIN_GROUPS = 'sudo usermod -aG render,video "$USER"   # then log in again'


def _loaded(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    yield word_on(
        facts.gpu.driver.initstate,
        lambda state: state == "live",
        expected="amdgpu is live",
        fix="sudo modprobe amdgpu; sudo dmesg | grep -i amdgpu | tail",
        why="without its driver the node has no GPU",
    )


def _permission(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Docker and systemd start engines as root or with groups of their own; a plain process has the login's rights."""
    driver = facts.gpu.driver
    own = Severity.BLOCK if expected.supervisor is SupervisorKind.PROCESS else Severity.WARN
    if KFD not in driver.opened:
        yield Word(Verdict.UNKNOWN, "unknown", "/dev/kfd can be opened", why="the device files were not looked at")
        return
    gone = [path for path, error in driver.opened.items() if error in {"ENOENT", "ENODEV", "ENXIO"}]
    shut = [f"{path}: {error}" for path, error in driver.opened.items() if error and path not in gone]
    evidence = [Evidence(path, error) for path, error in driver.opened.items() if error][:8]
    if driver.denied:
        evidence.append(Evidence(LIST, driver.denied))
    if gone:
        fix = "sudo modprobe amdgpu; ls -l /dev/kfd /dev/dri"
        yield Word(
            Verdict.FAIL,
            f"{', '.join(gone)} does not exist",
            "it exists",
            evidence=tuple(evidence),
            fix=fix,
            why="engines reach the GPU through it",
            severity=Severity.BLOCK,
        )
    elif shut or driver.denied:
        yield Word(
            Verdict.FAIL,
            ", ".join(shut[:4]) or driver.denied,
            "opened for reading and writing by the login",
            evidence=tuple(evidence),
            fix=JOIN_GROUPS,
            why="it is not in the groups that own the device files",
            severity=own,
        )
    else:
        shown = f"{len(driver.opened)} device files open"
        yield Word(Verdict.PASS, shown, "opened for reading and writing", evidence=(Evidence(KFD, shown),))


def _count(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    wanted = expected.spec.gpus
    counted = facts.gpu.counts["KFD"]
    addresses = ", ".join(gpu.address for gpu in facts.gpu.gpus)
    word = word_on(
        counted,
        lambda count: count == wanted,
        expected=f"{wanted} GPUs",
        show=lambda count: f"{count} GPUs",
        fix="lspci -d 1002: | grep -Ei 'accel|display'; sudo dmesg | grep -iE 'amdgpu|pcieport' | tail -50",
        why="a GPU fell off the bus, or the driver gave it up; the others are numbered anew",
    )
    more = tuple(
        Evidence(source, f"{count.value} GPUs")
        for source, count in facts.gpu.counts.items()
        if isinstance(count, Known)
    )
    yield _with(word, (*word.evidence, *more, Evidence("addresses", addresses)))


def _agree(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Every source against KFD's count. A tool that the node does not have says nothing."""
    counts = facts.gpu.counts
    kfd = counts["KFD"]
    for source, count in counts.items():
        if source == "KFD" or (source in _ITEMS and absent(facts.envelope, _ITEMS[source])):
            continue
        if isinstance(kfd, Unknown):
            yield Word(Verdict.UNKNOWN, "unknown", "as many as KFD shows", device=source, why=kfd.reason)
            continue
        yield word_on(
            count,
            lambda found, kfd=kfd: found == kfd.value,  # type: ignore[misc]
            expected=f"{kfd.value} GPUs, as many as KFD shows",
            show=lambda found: f"{found} GPUs",
            device=source,
            fix="sudo dmesg | grep -iE 'amdgpu|kfd' | tail -50",
            why="a device is on the bus that the compute driver does not offer, or a tool does not see one",
        )


def _latency(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    driver, limit_s = facts.gpu.driver, expected.thresholds.tool_latency_s
    if absent(facts.envelope, LIST):
        return
    why = "the driver or its firmware hangs: commands to the GPU will hang too"
    fix = "ps -eo pid,stat,wchan:32,comm | awk '$2 ~ /D/'; sudo dmesg | tail -50   # a hung driver needs a reboot"
    if driver.hung:
        seconds = f"no answer in {facts.envelope.items[LIST].seconds:.0f} s"
        yield Word(Verdict.FAIL, seconds, f"< {limit_s:g} s", evidence=(Evidence(LIST, seconds),), fix=fix, why=why)
        return
    yield word_on(
        driver.answer_s,
        lambda seconds: seconds < limit_s,
        expected=f"< {limit_s:g} s",
        show=lambda seconds: f"amd-smi list took {seconds:.1f} s",
        fix=fix,
        why=why,
    )


def _sources(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Only what differs is a word: agreement of what few sources happened to say proves little."""
    for gpu in facts.gpu.gpus:
        for differing in gpu.disagreements:
            yield Word(
                Verdict.FAIL,
                f"{differing.what}: " + ", ".join(f"{said} ({source})" for source, said in differing.said),
                "the same from every source",
                device=gpu.name,
                gpus=(gpu.index,),
                evidence=tuple(Evidence(source, said) for source, said in differing.said),
                why="one of them is wrong, so what rests on either may be",
            )


def _with(word: Word, evidence: tuple[Evidence, ...]) -> Word:
    return Word(
        word.verdict, word.observed, word.expected, word.device, word.gpus, evidence, word.fix, word.why, word.severity
    )


DRIVER = Check("gpu.driver", "GPU driver is loaded", Severity.BLOCK, (INITSTATE,), _loaded, essential=True)
PERMISSION = Check(
    "gpu.permission", "GPU device files can be opened", Severity.BLOCK, (KFD, "/dev/dri/renderD*", LIST), _permission
)
COUNT = Check(
    "gpu.count",
    "all GPUs are there",
    Severity.BLOCK,
    ("/sys/class/kfd/kfd/topology/nodes/*/properties",),
    _count,
    essential=True,
)
AGREE = Check(
    "gpu.count_agrees",
    "every source sees the same GPUs",
    Severity.BLOCK,
    ("/sys/class/kfd/kfd/topology/nodes/*/properties", LIST, "lspci", "rocminfo"),
    _agree,
)
LATENCY = Check("gpu.tool_latency", "GPU tools answer in time", Severity.BLOCK, (LIST,), _latency)
SOURCES = Check(
    "gpu.sources_agree",
    "sources say the same of a GPU",
    Severity.WARN,
    ("/sys/bus/pci/drivers/amdgpu/*", "amd-smi.metric", "amd-smi.static"),
    _sources,
)
CHECKS = (DRIVER, PERMISSION, COUNT, AGREE, LATENCY, SOURCES)

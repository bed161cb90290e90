"""The links of a GPU: to the host over PCIe, to its neighbours over XGMI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from pdctl.health.check import Check, Word, word_on
from pdctl.health.checks.folded import folded
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.gpu_device import Gpu
from pdctl.model.reading import Known, Unknown

_GPU = "/sys/bus/pci/drivers/amdgpu/*"
TOPOLOGY = "amd-smi.topology"
RESEAT = "sudo lspci -s {address} -vvv | grep -E 'LnkCap|LnkSta'   # then reseat the board, or its riser"


@folded
def _pcie_link(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Against the kind's link; for a kind that we do not know against what the device can, which then only warns: many
    a GPU lets its link fall back while it idles."""
    kind = expected.kind
    for gpu in facts.gpu.gpus:
        link = gpu.pcie
        wanted_gts = kind.link_speed_gts if kind is not None else _known(link.max_gts)
        wanted_width = kind.link_width if kind is not None else _known(link.max_width)
        if (
            wanted_gts is None
            or wanted_width is None
            or isinstance(link.gts, Unknown)
            or isinstance(link.width, Unknown)
        ):
            unknown = next(
                (each for each in (link.gts, link.width, link.max_gts, link.max_width) if isinstance(each, Unknown)),
                None,
            )
            why = unknown.reason if unknown else ""
            yield Word(Verdict.UNKNOWN, "unknown", "the full PCIe link", gpu.name, (gpu.index,), why=why)
            continue
        good = link.gts.value >= wanted_gts and link.width.value >= wanted_width
        seen = f"{link.gts.value:g} GT/s x{link.width.value}"
        yield Word(
            Verdict.PASS if good else Verdict.FAIL,
            seen,
            f"{wanted_gts:g} GT/s x{wanted_width:g}",
            gpu.name,
            (gpu.index,),
            (
                Evidence(link.gts.source, f"{link.gts.value:g} GT/s"),
                Evidence(link.width.source, f"x{link.width.value}"),
            ),
            fix="" if good else RESEAT.format(address=gpu.address),
            why="" if good else "loading a model and KV over the host's NICs take longer than on its peers",
            severity=None if kind is not None else Severity.WARN,
        )


def _known(reading: Known[float] | Known[int] | Unknown) -> float | None:
    return reading.value if isinstance(reading, Known) else None


@folded
def _pcie_errors(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for gpu in facts.gpu.gpus:
        for kind, count in (("fatal", gpu.pcie.fatal), ("non-fatal", gpu.pcie.nonfatal)):
            yield word_on(
                count,
                lambda errors: errors == 0,
                expected=f"0 {kind} PCIe errors",
                show=lambda errors, kind=kind: f"{errors} {kind} PCIe errors",  # type: ignore[misc]
                device=gpu.name,
                gpus=(gpu.index,),
                fix=RESEAT.format(address=gpu.address),
                why="its link to the host fails",
            )


@folded
def _pcie_retries(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """What the link corrected by itself: by what it gained, and by how often it had to be recovered."""
    limits = expected.thresholds
    for gpu in facts.gpu.gpus:
        recovered = gpu.pcie.l0_to_recovery
        bad = isinstance(recovered, Known) and recovered.value > limits.pcie_l0_recovery_bad
        yield word_on(
            recovered,
            lambda count: count <= limits.pcie_l0_recovery_warn,
            expected=f"<= {limits.pcie_l0_recovery_warn} recoveries of the PCIe link",
            show=lambda count: f"{count} recoveries",
            device=gpu.name,
            gpus=(gpu.index,),
            fix=RESEAT.format(address=gpu.address),
            why="the link loses its lock",
            severity=Severity.WARN if bad else Severity.INFO,
        )
        yield word_on(
            facts.gains.of(gpu.name, "aer_correctable"),
            lambda gain: gain.count == 0,
            expected="no new corrected PCIe errors",
            device=gpu.name,
            gpus=(gpu.index,),
            fix=RESEAT.format(address=gpu.address),
            why="a link that corrects errors all the time is about to fail, and is slower",
        )


def _xgmi_topology(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Every pair of a known kind's GPUs has to be linked over XGMI; a word per GPU that lacks a link."""
    gpus = facts.gpu.gpus
    if expected.kind is None or len(gpus) < 2:
        return
    links = facts.gpu.links
    by_pair = dict(links.kfd.value) if isinstance(links.kfd, Known) else {}
    source = links.kfd.source
    if not by_pair and isinstance(links.amd_smi, Known):
        source = links.amd_smi.source
        by_pair = {pair: kind.value for pair, kind in links.amd_smi.value.items() if isinstance(kind, Known)}
    pairs = list(combinations(sorted(gpu.index for gpu in gpus), 2))
    why = links.kfd.reason if isinstance(links.kfd, Unknown) else ""
    other = [pair for pair in pairs if by_pair.get(pair, "XGMI") != "XGMI"]
    silent = [pair for pair in pairs if pair not in by_pair]
    promise = f"XGMI between all {len(pairs)} pairs of GPUs"
    if other or (silent and by_pair):
        bad = other + silent
        said = ", ".join(f"gpu{one}-gpu{two}: {by_pair.get((one, two), 'no link')}" for one, two in bad[:8])
        most = Counter(index for pair in bad for index in pair).most_common(1)[0][0]
        yield Word(
            Verdict.FAIL,
            f"{said}{' and more' if len(bad) > 8 else ''}",
            promise,
            f"gpu{most}",
            None,
            (Evidence(source, said),),
            fix="amd-smi topology --link-type; amd-smi xgmi --link-status   # a lost link needs a reboot",
            why="tensor and expert parallel steps go over PCIe there, an order of magnitude slower",
        )
    elif silent:
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence(source),), why=why)
    else:
        yield Word(
            Verdict.PASS, f"all {len(pairs)} pairs", promise, evidence=(Evidence(source, f"{len(pairs)} pairs: XGMI"),)
        )


@folded
def _xgmi_state(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if expected.kind is None or len(facts.gpu.gpus) < 2:
        return
    for gpu in facts.gpu.gpus:
        yield word_on(
            gpu.xgmi.states,
            lambda states: "D" not in states,
            expected="no XGMI link down",
            show=lambda states: f"{states.count('U')} up, {states.count('D')} down, {states.count('X')} disabled",
            device=gpu.name,
            gpus=(gpu.index,),
            fix="amd-smi xgmi --link-status; sudo dmesg | grep -i xgmi",
            why="traffic between GPUs takes detours",
        )


@folded
def _xgmi_errors(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if expected.kind is None or len(facts.gpu.gpus) < 2:
        return
    usual = _usual_rate(facts.gpu.gpus)
    for gpu in facts.gpu.gpus:
        yield word_on(
            gpu.xgmi_errors,
            lambda state: state == "none",
            expected="no XGMI error",
            show=lambda state: {"none": "none", "one": "one error"}.get(state, "several errors"),
            device=gpu.name,
            gpus=(gpu.index,),
            fix=f"sudo amd-smi reset -g {gpu.index} --xgmierr; amd-smi metric --xgmi-err   # and see if it comes again",
            why="a link between GPUs fails",
        )
        rate = gpu.xgmi.rate_gbps
        if isinstance(rate, Known) and rate.value < usual:
            yield Word(
                Verdict.FAIL,
                f"{rate.value:g} Gbit/s",
                f"{usual:g} Gbit/s as its neighbours",
                gpu.name,
                (gpu.index,),
                (Evidence(rate.source, f"{rate.value:g} Gbit/s"),),
                fix="amd-smi xgmi --metric",
                why="its links between GPUs were trained at a lower rate",
            )


def _usual_rate(gpus: tuple[Gpu, ...]) -> float:
    rates = [gpu.xgmi.rate_gbps.value for gpu in gpus if isinstance(gpu.xgmi.rate_gbps, Known)]
    return Counter(rates).most_common(1)[0][0] if rates else 0.0


PCIE_LINK = Check(
    "gpu.pcie_link",
    "PCIe link is fast and wide",
    Severity.BLOCK,
    (f"{_GPU}/current_link_speed", f"{_GPU}/current_link_width", "amd-smi.metric"),
    _pcie_link,
)
PCIE_ERRORS = Check(
    "gpu.pcie_errors",
    "no PCIe errors",
    Severity.WARN,
    (f"{_GPU}/aer_dev_fatal", f"{_GPU}/aer_dev_nonfatal"),
    _pcie_errors,
)
PCIE_RETRIES = Check(
    "gpu.pcie_retries",
    "the PCIe link is quiet",
    Severity.WARN,
    (f"{_GPU}/aer_dev_correctable", "amd-smi.metric"),
    _pcie_retries,
)
XGMI_TOPOLOGY = Check(
    "gpu.xgmi_topology",
    "all GPUs are linked over XGMI",
    Severity.BLOCK,
    ("/sys/class/kfd/kfd/topology/nodes/*/io_links/*/properties", TOPOLOGY),
    _xgmi_topology,
)
XGMI_STATE = Check("gpu.xgmi_links", "no XGMI link is down", Severity.BLOCK, ("amd-smi.xgmi",), _xgmi_state)
XGMI_ERRORS = Check(
    "gpu.xgmi_errors", "no XGMI errors", Severity.WARN, ("amd-smi.metric", "amd-smi.xgmi"), _xgmi_errors
)
CHECKS = (PCIE_LINK, PCIE_ERRORS, PCIE_RETRIES, XGMI_TOPOLOGY, XGMI_STATE, XGMI_ERRORS)

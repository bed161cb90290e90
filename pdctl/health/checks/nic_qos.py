"""Lossless Ethernet: trust, PFC, shares, congestion control, and whether engines mark their traffic accordingly.

Which values are right is the fabric's own matter; what is checked is that they fit each other (MoRI env_check).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pdctl.health.check import Check, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_device import RdmaDevice
from pdctl.health.nic_qos_facts import DeviceQos
from pdctl.health.nic_scope import fabric, gpus_of, listed
from pdctl.health.parse.qos import PortQos
from pdctl.model.reading import Known, Reading, Unknown

_TOOLS = ("mlnx_qos.*", "niccli.qos*", "nicctl.qos")
TC_VARIABLES = ("MORI_RDMA_TC", "NCCL_IB_TC", "UCX_IB_TRAFFIC_CLASS", "MORI_IO_TC")
SL_VARIABLES = ("MORI_RDMA_SL", "NCCL_IB_SL", "MORI_IO_SL")


def _pfc(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device, qos in _devices(facts, expected):
        gpus = gpus_of(device, facts, expected)
        promise = f"trust dscp, a lossless priority with >= {expected.thresholds.lossless_share:.0%} of the bandwidth"
        fix = f"as on the switch, e.g. mlnx_qos -i {_netdev(device)} --trust dscp --pfc 0,0,0,1,0,0,0,0"
        why = "without PFC on the RDMA priority packets are dropped under load, and throughput collapses"
        if isinstance(qos.qos, Unknown):
            yield _unknown(device, gpus, promise, qos.qos)
            continue
        port = qos.qos.value
        bad = next((each for each in (port.trust, port.lossless) if isinstance(each, Unknown)), None)
        if bad is not None:
            yield _unknown(device, gpus, promise, bad)
            continue
        faults, doubts = _faults(port, expected.thresholds.lossless_share)
        if doubts and not faults:
            yield _unknown(device, gpus, promise, doubts[0])
            continue
        shown = "; ".join(faults) or _shown(port)
        evidence = (Evidence(qos.qos.source, _shown(port)),)
        verdict = Verdict.FAIL if faults else Verdict.PASS
        yield Word(verdict, shown, promise, device.name, gpus, evidence, fix if faults else "", why if faults else "")


def _faults(port: PortQos, least_share: float) -> tuple[list[str], list[Unknown]]:
    """(what is wrong, what cannot be told)."""
    assert isinstance(port.trust, Known)
    assert isinstance(port.lossless, Known)
    faults = [] if port.trust.value in ("dscp", "both") else [f"trust {port.trust.value}"]
    if not port.lossless.value:
        return [*faults, "no priority is lossless"], []
    if isinstance(port.share, Unknown):
        return faults, [port.share]
    share = sum(port.share.value.get(priority, 0.0) for priority in port.lossless.value)
    unlimited = any(priority not in port.share.value for priority in port.lossless.value)  # strict, vendor: no shares
    if share < 100 * least_share and not unlimited:
        faults.append(f"the lossless priorities have {share:g} % of the bandwidth")
    return faults, []


def _shown(port: PortQos) -> str:
    lossless = sorted(port.lossless.value) if isinstance(port.lossless, Known) else "unknown"
    share = "unknown"
    if isinstance(port.share, Known) and isinstance(port.lossless, Known):
        share = f"{sum(port.share.value.get(each, 0.0) for each in port.lossless.value):g} %"
    trust = port.trust.value if isinstance(port.trust, Known) else "unknown"
    return f"trust {trust}, lossless {lossless}, {share} of the bandwidth"


def _dcqcn(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device, qos in _devices(facts, expected):
        if isinstance(qos.qos, Known) and not isinstance(qos.qos.value.main_priority(), Known):
            continue  # no lossless priority: nic.pfc speaks of it
        yield word_on(
            qos.dcqcn,
            lambda on: on,
            expected="DCQCN enabled",
            show=lambda on: "enabled" if on else "disabled",
            device=device.name,
            gpus=gpus_of(device, facts, expected),
            fix=f"echo 1 > /sys/class/net/{_netdev(device)}/ecn/roce_np/enable/3   # its priority; roce_rp too",
            why="congestion is then answered by PFC alone, which stops whole links",
        )


def _cnp(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """All ports mark congestion notifications alike, else some of them wait in the queue that they should empty."""
    said = {device.name: qos.cnp_dscp for device, qos in _devices(facts, expected)}
    known = {name: dscp.value for name, dscp in said.items() if isinstance(dscp, Known)}
    if len(known) < 2:
        return
    shown = listed(f"{name}: DSCP {dscp}" for name, dscp in known.items())
    alike = len(set(known.values())) == 1
    yield Word(
        Verdict.PASS if alike else Verdict.FAIL,
        f"DSCP {next(iter(known.values()))}" if alike else shown,
        "one DSCP for congestion notifications",
        evidence=(Evidence("nicctl.dcqcn, configfs", shown),),
        fix=""
        if alike
        else "give every port and the switches the same CNP DSCP (nicctl update dcqcn, configfs cc/cnp_dscp)",
        why="" if alike else "some notifications queue behind the traffic that they should slow down",
    )


def _traffic_class(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """What the inventory gives engines, against the ports: a traffic class holds a DSCP in its upper six bits, and that
    DSCP, or the service level itself, has to be a priority that never drops."""
    ports = {device.name: qos.qos for device, qos in _devices(facts, expected)}
    told: set[tuple[str, str]] = set()
    for slot in expected.slots:
        for variable in (*TC_VARIABLES, *SL_VARIABLES):
            value = slot.env.get(variable, "").strip()
            if slot.judged and ports and value.isdecimal() and (variable, value) not in told:
                told.add((variable, value))
                yield from _marked(variable, int(value[:4]), ports)


def _marked(variable: str, value: int, read: Mapping[str, Reading[PortQos]]) -> Iterator[Word]:
    ports = {name: port.value for name, port in read.items() if isinstance(port, Known)}
    priorities: dict[str, int | None] = {}
    lossless: dict[str, frozenset[int]] = {}
    for name, port in ports.items():
        mapped: Reading[Mapping[int, int]] = port.dscp_priority if variable in TC_VARIABLES else Known({}, "")
        if isinstance(mapped, Known) and isinstance(port.lossless, Known):
            priorities[name] = mapped.value.get(value >> 2) if variable in TC_VARIABLES else value
            lossless[name] = port.lossless.value
    odd = [name for name, priority in priorities.items() if priority not in lossless[name]]
    shown = listed(
        f"{name}: priority {priority}, lossless {sorted(lossless[name])}" for name, priority in priorities.items()
    )
    right = {dscp.value << 2 for port in ports.values() if isinstance(dscp := port.main_dscp(), Known)}
    wanted = {level.value for port in ports.values() if isinstance(level := port.main_priority(), Known)}
    better = sorted(right if variable in TC_VARIABLES else wanted)
    untold = [name for name in read if name not in priorities]
    verdict = Verdict.FAIL if odd else Verdict.UNKNOWN if untold else Verdict.PASS
    doubt = f"the priorities of {listed(untold)} are not known" if untold else ""
    yield Word(
        verdict,
        f"{variable}={value}",
        "a priority that never drops on every port" + (f" ({variable}={better[0]} is one)" if odd and better else ""),
        evidence=(Evidence("inventory env", f"{variable}={value}"), Evidence("QoS of the ports", shown)),
        fix=f"take {variable} out of the inventory's env, or set it to {better[0] if better else 'what the ports say'}"
        if odd
        else "",
        why=f"traffic would be dropped under load on {listed(odd)}" if odd else doubt,
    )


def _devices(facts: NodeFacts, expected: Expectations) -> Iterator[tuple[RdmaDevice, DeviceQos]]:
    """Ethernet devices whose vendor's tool is on the node."""
    for device in fabric(facts, expected):
        qos = facts.nic.qos.get(device.name)
        if qos is not None and qos.applies and device.ethernet:
            yield device, qos


def _netdev(device: RdmaDevice) -> str:
    return device.netdev.value if isinstance(device.netdev, Known) else device.name


def _unknown(device: RdmaDevice, gpus: tuple[int, ...] | None, promise: str, reading: Unknown) -> Word:
    evidence = (Evidence(reading.source),) if reading.source else ()
    return Word(Verdict.UNKNOWN, "unknown", promise, device.name, gpus, evidence, why=reading.reason)


CHECKS = (
    Check("nic.pfc", "RDMA traffic is lossless", Severity.WARN, _TOOLS, _pfc),
    Check("nic.dcqcn", "congestion control is on", Severity.WARN, (*_TOOLS, "nicctl.dcqcn"), _dcqcn),
    Check("nic.cnp_dscp", "congestion notifications are marked alike", Severity.WARN, ("nicctl.dcqcn",), _cnp),
    Check("nic.traffic_class", "engines mark traffic as ports expect", Severity.WARN, _TOOLS, _traffic_class),
)

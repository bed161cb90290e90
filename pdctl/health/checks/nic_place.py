"""Where NICs sit and what they are connected to: PCIe, GPUs, GPU memory, IPv4, MTU, the order of rails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pdctl.health.check import Check, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_device import RdmaDevice
from pdctl.health.nic_rails import rails_by_gpu, rails_by_network
from pdctl.health.nic_scope import fabric, gpus_of, listed
from pdctl.health.nic_sysfs import NET, ROOT
from pdctl.health.parse.lspci import PciDevice
from pdctl.model.reading import Known, Reading, Unknown

ACTIVE_MTU = 4096
"""The largest MTU of verbs (rdma-core, `enum ibv_mtu`); a network MTU of 9000 allows it."""


def _pcie(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device in fabric(facts, expected):
        link = device.pcie
        parts: tuple[Reading[float] | Reading[int], ...] = (
            link.speed_gts, link.width, link.max_speed_gts, link.max_width,
        )  # fmt: skip
        bad = next((part for part in parts if isinstance(part, Unknown)), None)
        gpus = gpus_of(device, facts, expected)
        if bad is not None:
            evidence = (Evidence(bad.source),) if bad.source else ()
            yield Word(Verdict.UNKNOWN, "unknown", "its full link", device.name, gpus, evidence, why=bad.reason)
            continue
        speed, width, most, widest = (part.value for part in parts if isinstance(part, Known))
        good = speed >= most and width >= widest
        yield Word(
            Verdict.PASS if good else Verdict.FAIL,
            f"{speed:g} GT/s x{width:g}",
            f"{most:g} GT/s x{widest:g}",
            device.name,
            gpus,
            (Evidence(f"{ROOT}/{device.name}/device/current_link_speed", f"{speed:g} GT/s x{width:g}"),),
            fix="" if good else f"lspci -vvs {device.bdf} | grep Lnk   # reseat the card or riser; cold boot",
            why="" if good else "the PCIe link is slower than the network port",
        )


def _bus(facts: NodeFacts, expected: Expectations) -> Iterator[tuple[RdmaDevice, PciDevice]]:
    pci = facts.host.pci
    by_address: Mapping[str, PciDevice] = {each.address: each for each in pci.value} if isinstance(pci, Known) else {}
    for device in fabric(facts, expected):
        if device.bdf in by_address:
            yield device, by_address[device.bdf]


def _relaxed_ordering(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device, function in _bus(facts, expected):
        qos = facts.nic.qos.get(device.name)
        nvm = qos.relaxed_ordering if qos is not None else Unknown("")
        enabled = Known(nvm.value == "enabled", nvm.source) if isinstance(nvm, Known) else function.relaxed_ordering
        yield word_on(
            enabled,
            lambda on: on,
            expected="relaxed ordering enabled",
            show=lambda on: "enabled" if on else "disabled",
            device=device.name,
            gpus=gpus_of(device, facts, expected),
            fix=f"niccli --dev {device.bdf} nvm --setoption pcie_relaxed_ordering --value 1; BIOS setting",
            why="writes to GPU memory wait for each other on PCIe",
        )


def _read_request(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    wanted = expected.thresholds.max_read_request_bytes
    for device, function in _bus(facts, expected):
        yield word_on(
            function.read_request_bytes,
            lambda size: size >= wanted,
            expected=f">= {wanted} bytes",
            show=lambda size: f"{size} bytes",
            device=device.name,
            gpus=gpus_of(device, facts, expected),
            fix=f"setpci -s {device.bdf} CAP_EXP+8.w   # bits 14:12 to 5",
            why="reads of GPU memory are cut into more PCIe requests than need be",
        )


def _affinity(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    devices = fabric(facts, expected)
    if len(devices) < expected.spec.gpus or facts.nic.gpus < expected.spec.gpus:
        return  # several GPUs share a NIC by design, or a GPU is missing, of which `gpu.count` speaks
    for device in devices:
        near = facts.nic.affinity.get(device.name)
        if isinstance(near, Known):
            how = "PCIe switch" if near.value.shared_switch else "NUMA node"
            shown = f"gpu{near.value.gpu} ({near.value.gpu_bdf}) at the same {how}"
            yield Word(Verdict.PASS, shown, _BESIDE, device.name, (), (Evidence(near.source, shown),))
        elif not device.path or isinstance(device.numa, Unknown):
            why = device.numa.reason if isinstance(device.numa, Unknown) else "sysfs does not tell where it sits"
            yield Word(Verdict.UNKNOWN, "unknown", _BESIDE, device.name, (), (Evidence("links"),), why=why)
        else:
            yield Word(
                Verdict.FAIL,
                f"no GPU at its PCIe switch or on NUMA node {device.numa.value} is left for it",
                _BESIDE,
                device.name,
                (),
                (Evidence("links", device.path),),
                fix="lspci -tv   # which slots share a switch; move the card",
                why="its traffic crosses the CPU's root complexes",
            )


_BESIDE = "a GPU of its own at the same PCIe switch or NUMA node"


def _peer_memory(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    if expected.rdma:
        yield word_on(
            facts.nic.versions.peer_memory,
            lambda ways: bool(ways),
            expected="amdkfd peer memory, or dmabuf (Linux >= 5.12, CONFIG_DMABUF_MOVE_NOTIFY)",
            show=lambda ways: ", ".join(ways) or "none",
            fix="modprobe ib_peer_mem; or a kernel with CONFIG_DMABUF_MOVE_NOTIFY=y and MORI_ENABLE_DMABUF_REG=1",
            why="NICs cannot register GPU memory: ibv_reg_mr fails when the engine starts",
        )


def _ipv4(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    addresses = facts.nic.addresses
    for device in fabric(facts, expected):
        if not device.ethernet:
            continue
        gpus, best = gpus_of(device, facts, expected), device.best_gid
        if isinstance(addresses, Unknown) or isinstance(device.netdev, Unknown):
            bad = addresses if isinstance(addresses, Unknown) else device.netdev
            assert isinstance(bad, Unknown)
            evidence = (Evidence(bad.source),) if bad.source else ()
            yield Word(Verdict.UNKNOWN, "unknown", "an IPv4 address", device.name, gpus, evidence, why=bad.reason)
            continue
        shown = ", ".join(str(each) for each in device.ipv4)
        routable = isinstance(best, Known) and not best.value.address.is_link_local
        yield Word(
            Verdict.PASS if shown else Verdict.FAIL,
            shown or f"none on {device.netdev.value}",
            "an IPv4 address",
            device.name,
            gpus,
            (Evidence(addresses.source, shown or device.netdev.value),),
            fix=""
            if shown
            else f"ip addr add ADDRESS/24 dev {device.netdev.value}   # the rail's; and keep it in netplan",
            why="" if shown else "RoCE v2 over IPv4 needs it, and without it the GID table has no entry for it",
            severity=Severity.WARN if routable else None,
        )


def _mtu(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    wanted = expected.thresholds.mtu_bytes
    for device in fabric(facts, expected):
        if not device.ethernet:
            continue
        gpus = gpus_of(device, facts, expected)
        netdev = device.netdev.value if isinstance(device.netdev, Known) else device.name
        yield word_on(
            device.mtu_bytes,
            lambda mtu: mtu >= wanted,
            expected=f">= {wanted} bytes on the network device",
            show=lambda mtu: f"{mtu} bytes",
            device=device.name,
            gpus=gpus,
            fix=f"ip link set {netdev} mtu {wanted}   # on both ends and on the switch",
            why="RDMA then uses a smaller MTU than it could",
        )
        if isinstance(device.active_mtu_bytes, Known):
            yield word_on(
                device.active_mtu_bytes,
                lambda mtu: mtu >= ACTIVE_MTU,
                expected=f"{ACTIVE_MTU} bytes of verbs MTU",
                show=lambda mtu: f"active_mtu {mtu} bytes",
                device=device.name,
                gpus=gpus,
                fix=f"ip link set {netdev} mtu {wanted}",
                why="RDMA sends smaller packets than the port could carry",
            )


def _rail_order(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """Networks and GPUs give the same order where cables and addresses follow the plan."""
    devices = fabric(facts, expected)
    by_network, by_gpu = rails_by_network(devices), rails_by_gpu(devices, facts.nic.affinity)
    if len(devices) < 2 or isinstance(by_network, Unknown) or isinstance(by_gpu, Unknown):
        return
    networks, gpus = [each.name for each in by_network.value], [each.name for each in by_gpu.value]
    good = networks == gpus
    yield Word(
        Verdict.PASS if good else Verdict.FAIL,
        f"by network {', '.join(networks)}; by GPU {', '.join(gpus)}" if not good else ", ".join(networks),
        "rail k is the network of the NIC at GPU k",
        gpus=(),
        evidence=(Evidence(by_network.source, listed(networks)), Evidence(by_gpu.source, listed(gpus))),
        fix="" if good else "give the NICs their addresses in the order of their GPUs, or change the cabling",
        why="" if good else "ranks talk over a NIC that is not at their GPU",
    )


CHECKS = (
    Check("nic.pcie_link", "full PCIe link", Severity.WARN, (f"{ROOT}/*/device/current_link_*",), _pcie),
    Check("nic.relaxed_ordering", "PCIe relaxed ordering", Severity.WARN, ("lspci.vvv", "niccli.*"), _relaxed_ordering),
    Check("nic.read_request", "PCIe read request size", Severity.WARN, ("lspci.vvv",), _read_request),
    Check("nic.affinity", "a NIC for every GPU", Severity.WARN, ("links",), _affinity),
    Check(
        "nic.peer_memory", "NICs can reach GPU memory", Severity.BLOCK,
        ("/sys/kernel/mm/memory_peers/*", "kernel.config"), _peer_memory,
    ),
    Check("nic.ipv4", "an IPv4 address on every rail", Severity.BLOCK, ("ip.addr",), _ipv4),
    Check("nic.mtu", "large MTU", Severity.WARN, (f"{NET}/*/mtu", "ibv_devinfo"), _mtu),
    Check("nic.rail_order", "rails follow GPUs", Severity.WARN, ("links", "ip.addr"), _rail_order),
)  # fmt: skip

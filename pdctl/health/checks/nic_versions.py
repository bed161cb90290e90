"""Firmware and drivers of NICs: what is known to be too old, whether user space fits, and drift between nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pdctl.health.check import Check, Trait, Word, word_on
from pdctl.health.expectations import Expectations
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Evidence, Severity, Verdict
from pdctl.health.nic_device import RdmaDevice, Vendor
from pdctl.health.nic_firmware import version_key
from pdctl.health.nic_rails import rails
from pdctl.health.nic_scope import fabric, listed
from pdctl.health.nic_sysfs import ROOT
from pdctl.health.outputs import absent
from pdctl.health.parse.qos import PortQos
from pdctl.model.reading import Known, Reading, Unknown
from pdctl.model.role import SupervisorKind

MINIMUM: Final[Mapping[Vendor, str]] = {Vendor.AMD: "1.117.5-a-45", Vendor.BROADCOM: "235.2.86"}
"""Oldest firmware that works (MoRI env_check): AMD's 1.117.1 has no IBGDA, Broadcom's 231 hangs."""


def _minimum(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    for device in fabric(facts, expected):
        least = MINIMUM.get(device.vendor.value) if isinstance(device.vendor, Known) else None
        if least is None:
            continue
        yield word_on(
            _numbered(facts.nic.versions.firmware.get(device.name, device.firmware)),
            _at_least(least),
            expected=f">= {least}",
            device=device.name,
            gpus=(),
            fix="update its firmware, then power-cycle the node"
            + (" (nicctl update firmware)" if least[0] == "1" else ""),
            why="older firmware is known to fail with MoRI",
        )


def _at_least(least: str) -> Callable[[str], bool]:
    return lambda version: version_key(version) >= version_key(least)


def _numbered(version: Reading[str]) -> Reading[str]:
    """A version with numbers to compare: at least three."""
    if isinstance(version, Known) and len(version_key(version.value)) < 3:
        return Unknown(f"{version.value[:40]!r} is no version", version.source)
    return version


def _userspace(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
    """The node's own libibverbs shows every device of the kernel; one whose provider does not fit is not shown."""
    devices = fabric(facts, expected)
    if not devices or absent(facts.envelope, "ibv_devinfo"):
        return
    shown, item = facts.nic.userspace, facts.envelope.items["ibv_devinfo"]
    promise = "libibverbs shows every RDMA device"
    if isinstance(shown, Unknown):
        yield Word(Verdict.UNKNOWN, "unknown", promise, evidence=(Evidence("ibv_devinfo"),), why=shown.reason)
        return
    names = shown.value
    gone = [device.name for device in devices if device.name not in names]
    said = next((line for line in item.stderr.splitlines() if "driver" in line or "provider" in line), "")
    by_host = expected.supervisor is not SupervisorKind.DOCKER
    yield Word(
        Verdict.FAIL if gone else Verdict.PASS,
        f"not {listed(gone)}" if gone else f"all {len(devices)}",
        promise,
        evidence=(Evidence("ibv_devinfo", said or listed(sorted(names))),),
        fix="ibv_devices; ls /etc/libibverbs.d   # install the rdma-core of the NIC's driver release" if gone else "",
        why="the provider library does not fit the kernel's driver" if gone else "",
        severity=Severity.BLOCK if by_host else Severity.WARN,
    )


def _joined(values: Mapping[str, Reading[str]]) -> Mapping[str, Reading[str]]:
    """One value for the node: the distinct ones, sorted; unknown where one of them is."""
    bad = next((value for value in values.values() if isinstance(value, Unknown)), None)
    if not values:
        return {}
    if bad is not None:
        return {"": bad}
    known = [value for value in values.values() if isinstance(value, Known)]
    return {"": Known(", ".join(sorted({value.value for value in known})), known[0].source)}


def _all(facts: NodeFacts) -> tuple[RdmaDevice, ...]:
    """Every device but the management interface's: without the inventory's view, which a trait does not have."""
    known = facts.nic.devices.value if isinstance(facts.nic.devices, Known) else ()
    management = facts.nic.management
    return tuple(
        device
        for device in known
        if not isinstance(management, Known) or device.netdev != Known(management.value, device.netdev.source)
    )


def _firmware(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    return _joined({each.name: facts.nic.versions.firmware.get(each.name, each.firmware) for each in _all(facts)})


def _driver(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    versions = facts.nic.versions.drivers
    return {module: version for module, version in versions.items() if isinstance(version, Known)}


def _mtu(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    return _joined({each.name: _shown(each.mtu_bytes) for each in _all(facts) if isinstance(each.netdev, Known)})


def _rate(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    """The node's best: one slow rail is `nic.rate`'s matter."""
    rates = [each.port.rate_gbps.value for each in _all(facts) if each.port and isinstance(each.port.rate_gbps, Known)]
    return {"": Known(f"{max(rates):g} Gb/s", f"{ROOT}/*/ports/1/rate")} if rates else {}


def _gid_index(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    order = rails(_all(facts), facts.nic.affinity)
    best = [each.best_gid for each in order.value] if isinstance(order, Known) else []
    indices = sorted({str(gid.value.index) for gid in best if isinstance(gid, Known)})
    return {"": Known(", ".join(indices), f"{ROOT}/*/ports/1/gids")} if indices else {}


def _lossless(facts: NodeFacts) -> Mapping[str, Reading[str]]:
    ports = [qos.qos for qos in facts.nic.qos.values() if qos.applies and isinstance(qos.qos, Known)]
    known = {_qos_shown(port.value) for port in ports}
    return {"": Known(", ".join(sorted(known)), ports[0].source)} if known else {}


def _qos_shown(port: PortQos) -> str:
    dscp, lossless = port.main_dscp(), port.lossless
    return (
        f"lossless {sorted(lossless.value) if isinstance(lossless, Known) else '?'}"
        f" DSCP {dscp.value if isinstance(dscp, Known) else '?'}"
    )


def _shown(reading: Reading[int]) -> Reading[str]:
    return reading if isinstance(reading, Unknown) else Known(str(reading.value), reading.source)


CHECKS = (
    Check("nic.firmware", "NIC firmware is not too old", Severity.WARN, ("nicctl.card", f"{ROOT}/*/fw_ver"), _minimum),
    Check("nic.userspace", "user space fits the driver", Severity.WARN, ("ibv_devinfo",), _userspace),
)

TRAITS = (
    Trait("drift.nic_firmware", "NIC firmware", Severity.WARN, (f"{ROOT}/*/fw_ver",), _firmware, pin="nic.firmware"),
    Trait("drift.nic_driver", "NIC driver", Severity.INFO, ("/sys/module/*/version",), _driver, pin="nic.driver"),
    Trait("drift.nic_mtu", "MTU of the rails", Severity.WARN, ("/sys/class/net/*/mtu",), _mtu, whole_fleet=True),
    Trait("drift.nic_rate", "link rate", Severity.WARN, (f"{ROOT}/*/ports/1/rate",), _rate, pin="nic.rate"),
    Trait("drift.gid_index", "GID index", Severity.INFO, (f"{ROOT}/*/ports/1/gids/*",), _gid_index),
    Trait("drift.nic_qos", "lossless priority and DSCP", Severity.WARN, ("mlnx_qos.*",), _lossless, whole_fleet=True),
)

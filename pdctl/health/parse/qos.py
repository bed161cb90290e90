"""What all vendors' QoS tools say of one port: which DSCP goes to which priority, which of them never drop, and how
bandwidth is shared. The shape that `mlnx_qos`, `niccli` and `nicctl show qos` are read into.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.model.reading import Known, Reading, Unknown


@dataclass(frozen=True, slots=True)
class PortQos:
    """QoS of one port.

    `trust`: "dscp" or "pcp". `lossless`: priorities with priority flow control. `dscp_priority`: priority by DSCP.
    `share`: percent of bandwidth by priority (its traffic class's, for ETS and DWRR; strict priority has none).
    `port` is the tool's own name for it: a network device, a device number, a PCI address.
    """

    port: str
    trust: Reading[str]
    lossless: Reading[frozenset[int]]
    dscp_priority: Reading[Mapping[int, int]]
    share: Reading[Mapping[int, float]]

    def main_priority(self) -> Reading[int]:
        """The lossless priority with the most bandwidth: what RDMA traffic should use (MoRI env_check)."""
        if isinstance(self.lossless, Unknown):
            return self.lossless
        if not self.lossless.value:
            return Unknown("no priority is lossless", self.lossless.source)
        shares = self.share.value if isinstance(self.share, Known) else {}
        if len(self.lossless.value) > 1 and not shares:
            return Unknown("several priorities are lossless, and their shares are unknown", self.lossless.source)
        best = max(sorted(self.lossless.value), key=lambda priority: shares.get(priority, 0.0))
        return Known(best, self.lossless.source)

    def main_dscp(self) -> Reading[int]:
        """The lowest DSCP that is mapped to the main priority; unknown where none is, or where all are."""
        priority = self.main_priority()
        if isinstance(priority, Unknown):
            return priority
        if isinstance(self.dscp_priority, Unknown):
            return self.dscp_priority
        mapped = sorted(dscp for dscp, at in self.dscp_priority.value.items() if at == priority.value)
        if not mapped:
            return Unknown(f"no DSCP is mapped to priority {priority.value}", self.dscp_priority.source)
        return Known(mapped[0], self.dscp_priority.source)

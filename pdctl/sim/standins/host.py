"""A whole node with eight MI300X and eight ConnectX-7 as files: what its /sys and /proc show and what its tools print.

Healthy unless its shape says otherwise. For tests, the lab and benchmarks: `host` says what such a node holds, and
`install` writes it below a directory, to be read with that as root and with its `bin` first in PATH.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pdctl.sim.standins import facts, host_proc, host_sysfs, host_tools
from pdctl.sim.standins.facts import Gpu, Nic

FOREIGN_PID = 4711
_SUDO = '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n'  # grants everything, changes nobody


@dataclass(frozen=True, slots=True)
class Shape:
    """Which node, and what is wrong with it; nothing, as it stands.

    `number` is the host part of its addresses. GPUs and rails are said by index. `hung`: tools that never answer.
    """

    name: str = "n1"
    number: int = 1
    missing_gpus: frozenset[int] = frozenset()
    uncorrectable: Mapping[int, int] = field(default_factory=dict)  # GPU -> memory errors
    foreign: Mapping[int, int] = field(default_factory=dict)  # GPU -> bytes held by a process that is not ours
    ports_down: frozenset[int] = frozenset()
    rates_gbps: Mapping[int, int] = field(default_factory=dict)
    only_roce_v1: frozenset[int] = frozenset()
    nic_firmware: str = facts.NIC_FIRMWARE
    gpu_firmware: str = "04.86.00.00"
    memlock_kib: int | None = None  # None: unlimited
    hung: frozenset[str] = frozenset()
    numa_balancing: int = 0

    def gpus(self) -> list[Gpu]:
        """The GPUs that are there."""
        found = []
        for gpu in facts.gpus(self.name):
            held = self.foreign.get(gpu.number, 0)
            found.append(
                gpu._replace(
                    used_bytes=facts.VRAM_IDLE_BYTES + held,
                    processes=((FOREIGN_PID, held),) if held else (),
                    uncorrectable=self.uncorrectable.get(gpu.number, 0),
                    firmware=self.gpu_firmware,
                )
            )
        return [gpu for gpu in found if gpu.number not in self.missing_gpus]

    def nics(self) -> list[Nic]:
        """The RDMA adapters, rail by rail."""
        return [
            nic._replace(
                address=f"192.168.{16 + nic.number}.{self.number}",
                firmware=self.nic_firmware,
                up=nic.number not in self.ports_down,
                gbps=self.rates_gbps.get(nic.number, 400),
                roce_v2=nic.number not in self.only_roce_v1,
            )
            for nic in facts.nics(self.name)
        ]


@dataclass(frozen=True, slots=True)
class Host:
    """Texts by path, symlinks by path (relative targets), and the tools' outputs: tool -> arguments -> text.

    `mute` are tools that never answer, whatever they are asked.
    """

    files: Mapping[str, str]
    links: Mapping[str, str]
    tools: Mapping[str, Mapping[str, str]]
    mute: frozenset[str] = frozenset()

    def scripts(self) -> dict[str, str]:
        """One small shell script per tool: no interpreter to start, so that many hosts fit on one machine."""
        return {name: _script(name, self.tools[name], name in self.mute) for name in self.tools}

    def install(self, root: Path) -> Path:
        """Write all of it below `root`; returns the directory of the tools."""
        for path, text in self.files.items():
            _write(root / path.lstrip("/"), text)
        for path, target in self.links.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        for name, text in {**self.scripts(), "sudo": _SUDO}.items():
            _write(root / "bin" / name, text)
            (root / "bin" / name).chmod(0o755)
        return root / "bin"


def host(shape: Shape | None = None) -> Host:
    """What a node of that shape holds."""
    shape = shape or Shape()
    gpus, nics = shape.gpus(), shape.nics()
    files, links = host_sysfs.tree(gpus, nics)
    files |= host_proc.files(shape.name, gpus, memlock_kib=shape.memlock_kib, numa_balancing=shape.numa_balancing)
    return Host(files, links, host_tools.outputs(gpus, nics, shape.number), shape.hung)


def fleet(count: int, *shapes: Shape) -> list[Host]:
    """`count` nodes n1, n2, …: the shapes given, by their names, and healthy ones else."""
    given = {shape.name: shape for shape in shapes}
    names = [(f"n{number}", number) for number in range(1, count + 1)]
    return [host(replace(given.get(name, Shape(name)), number=number)) for name, number in names]


def _script(name: str, outputs: Mapping[str, str], mute: bool) -> str:
    if mute:
        return "#!/bin/sh\nexec sleep 3600\n"
    cases = "".join(f"{shlex.quote(arguments)})\n{_said(name, text)};;\n" for arguments, text in outputs.items())
    return f'#!/bin/sh\ncase "$*" in\n{cases}*) echo "{name}: not known here: $*" >&2; exit 2;;\nesac\n'


def _said(name: str, text: str) -> str:
    """What prints `text`. `pgrep` that finds nothing prints nothing and ends with 1."""
    if name == "pgrep" and not text:
        return "exit 1\n"
    return f"cat <<'PDCTL_END'\n{text.rstrip(chr(10))}\nPDCTL_END\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

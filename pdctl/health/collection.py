"""What is collected on a node: the table of commands and files, as data. Pure; `collect_on_node` carries it out.

An item's id is the key of the envelope's `items`; a file's path is the key of its `files`. Commands with `each` run
once per match of that glob, `{name}` being the match's last part; so do files with `{name}`. What a node does not have
is said by the item ("not found") or by the file's absence, and is for the checks to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from pdctl.health.collected_files import HOST_FILES, LIGHT_FILES, LINKS, OPENED, PER_NETDEV, PER_TENANT, SAMPLED

RDMA_NETDEVS = "/sys/class/infiniband/*/device/net/*"
"""The network devices of RDMA adapters: those that checks ask tools about, of possibly hundreds."""

BNXT = "/sys/bus/pci/drivers/bnxt_en/*:*:*.*"
"""Broadcom's adapters by PCI address, which niccli takes for a device."""

TENANTS = "/sys/class/kfd/kfd/proc/*"
"""One directory per process that holds a KFD context."""

LOCAL_PATHS = ("/", "/dev/shm", "/tmp", "/var")  # noqa: S108 - looked at, not written to

DOCKER_CONTAINER = '{{.ID}} {{.Names}} {{.Label "pdctl.cluster"}} {{.Label "pdctl.instance"}}'
"""Of all labels only ours: others' may hold secrets."""

DOCKER_IMAGE = "{{.Id}} {{json .RepoDigests}}"


class Profile(Enum):
    """REACH: can the node be asked at all (T0). LIGHT: what may change while it serves. FULL: everything (T1)."""

    REACH = "reach"
    LIGHT = "light"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Command:
    """One tool to run, without a shell.

    `as_root`: through `sudo -n` where the login is not root, and as the login where sudo refuses (which is recorded).
    `unless`: an item id; it runs only if that one brought no data. `keep` "tail" keeps the end of a too long output.
    """

    id: str
    argv: tuple[str, ...]
    timeout_s: float = 10.0
    as_root: bool = False
    each: str = ""
    unless: str = ""
    keep: str = "head"
    max_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Targets:
    """What the inventory adds: paths on the node, the engine's image, and how often idle figures are looked at."""

    model_path: str = ""
    image: str = ""
    paths: tuple[str, ...] = ()  # file systems whose room matters
    jit_cache: str = ""
    samples: int = 3
    interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Collection:
    """One node's whole order. Globs in `files`, `links`, `opened`, `sampled`; `deadline_s` bounds everything."""

    commands: tuple[Command, ...]
    files: tuple[str, ...]
    each_files: tuple[tuple[str, str], ...] = ()  # (glob whose names stand for {name}, path with {name})
    links: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()  # device files: whether they can be opened for reading and writing
    sampled: tuple[str, ...] = ()
    samples: int = 3
    interval_s: float = 1.0
    deadline_s: float = 60.0
    file_deadline_s: float = 2.0
    jobs: int = 8
    max_file_bytes: int = 16 << 10
    root: str = "/"  # a tree to read instead of the machine's own: tests
    path: str = ""  # directories before the login's PATH: tests

    def payload(self) -> Mapping[str, Any]:
        """The order as `collect_on_node` takes it: plain JSON."""
        return asdict(self)


def collection(profile: Profile, targets: Targets, *, root: str = "/", path: str = "") -> Collection:
    """The order of one profile for one node."""
    if profile is Profile.REACH:
        return Collection((SUDO, DISK), ("/proc/uptime",), samples=0, deadline_s=15.0, root=root, path=path)
    per_netdev = tuple((RDMA_NETDEVS, f"/sys/class/net/{{name}}/{file}") for file in PER_NETDEV)
    per_tenant = tuple((TENANTS, f"/proc/{{name}}/{file}") for file in PER_TENANT)
    if profile is Profile.LIGHT:
        return Collection(
            (DMESG, JOURNAL), LIGHT_FILES, per_netdev + per_tenant, samples=0, deadline_s=20.0, root=root, path=path
        )
    return Collection(
        (*GPU_COMMANDS, *NIC_COMMANDS, *HOST_COMMANDS, *_targeted(targets)),
        (*LIGHT_FILES, *HOST_FILES),
        per_netdev + per_tenant,
        LINKS,
        OPENED,
        SAMPLED,
        targets.samples,
        targets.interval_s,
        root=root,
        path=path,
    )


def _targeted(targets: Targets) -> tuple[Command, ...]:
    """Commands about what the inventory names. Each path by itself: one dead network mount hangs only its own."""
    found = [Command(f"df.{path}", ("df", "-P", "-B1", "--", path)) for path in targets.paths]
    if targets.model_path.startswith("/"):
        config, index = f"{targets.model_path}/config.json", f"{targets.model_path}/model.safetensors.index.json"
        found += [
            Command("model.stat", ("stat", "-L", "-c", "%n %s %F", "--", targets.model_path, config, index)),
            Command("model.sha256", ("sha256sum", "--", config, index)),
            Command("df.model", ("df", "-P", "-B1", "--", targets.model_path)),
        ]
    if targets.image:
        inspect = ("docker", "image", "inspect", "--format", DOCKER_IMAGE, targets.image)
        found.append(Command("docker.image", inspect, as_root=True))
    if targets.jit_cache:
        named = ("(", "-path", targets.jit_cache, "-o", "-name", "lock*", ")")  # itself too: no output is no answer
        locks = ("find", targets.jit_cache, "-maxdepth", "5", *named, "-printf", "%T@ %p\\n")
        found.append(Command("jit.locks", locks))
    return tuple(found)


def _amd_smi(name: str, *words: str, as_root: bool = False) -> Command:
    return Command(f"amd-smi.{name}", ("amd-smi", *words, "--json"), as_root=as_root)


SUDO = Command("sudo", ("sudo", "-n", "true"), timeout_s=5.0)
DISK = Command("df", ("df", "-P", "-B1", "/"), timeout_s=5.0)
DMESG = Command(
    "dmesg", ("dmesg", "--time-format", "iso", "-x"), as_root=True, keep="tail", max_bytes=256 << 10, timeout_s=8.0
)
JOURNAL = Command(
    "journalctl",
    ("journalctl", "-k", "-b", "--no-pager", "-o", "short-iso", "-n", "4000"),
    as_root=True,
    unless="dmesg",
    keep="tail",
    max_bytes=256 << 10,
)

GPU_COMMANDS = (
    _amd_smi("list", "list"),  # first and shortest: how long it takes is a check of the driver
    _amd_smi("version", "version"),
    _amd_smi("metric", "metric", as_root=True),
    _amd_smi("static", "static", as_root=True),
    _amd_smi("firmware", "firmware"),
    _amd_smi("process", "process", as_root=True),
    _amd_smi("bad-pages", "bad-pages", as_root=True),
    _amd_smi("topology", "topology"),
    _amd_smi("xgmi", "xgmi"),
    _amd_smi("ras-cper", "ras", "--cper", "--severity", "fatal", as_root=True),
    Command("rocm-smi.all", ("rocm-smi", "-a", "--json"), unless="amd-smi.metric"),
    Command("rocminfo", ("rocminfo",)),
)

NIC_COMMANDS = (
    Command("rdma.link", ("rdma", "-j", "link")),
    Command("rdma.statistic", ("rdma", "-j", "statistic")),
    Command("rdma.dev", ("rdma", "-j", "dev")),
    Command("ibv_devinfo", ("ibv_devinfo", "-v")),
    Command("ibstat", ("ibstat",)),
    Command("show_gids", ("show_gids",)),
    Command("ethtool.{name}", ("ethtool", "{name}"), each=RDMA_NETDEVS),
    Command("ethtool-i.{name}", ("ethtool", "-i", "{name}"), each=RDMA_NETDEVS),
    Command("ethtool-S.{name}", ("ethtool", "-S", "{name}"), each=RDMA_NETDEVS),
    Command("mlnx_qos.{name}", ("mlnx_qos", "-i", "{name}"), each=RDMA_NETDEVS, as_root=True),
    Command("niccli.list", ("niccli", "--list_devices"), as_root=True),
    Command("niccli.qos.{name}", ("niccli", "--dev", "{name}", "qos", "--ets", "--show"), each=BNXT, as_root=True),
    Command(
        "niccli.relaxed.{name}",
        ("niccli", "--dev", "{name}", "nvm", "--getoption", "pcie_relaxed_ordering"),
        each=BNXT,
        as_root=True,
    ),
    Command("nicctl.card", ("nicctl", "show", "card", "-j"), as_root=True),
    Command("nicctl.port", ("nicctl", "show", "port", "-j"), as_root=True),
    Command("nicctl.qos", ("nicctl", "show", "qos"), as_root=True),
    Command("nicctl.dcqcn", ("nicctl", "show", "dcqcn"), as_root=True),
    Command("lspci", ("lspci", "-D", "-nn")),
    Command("lspci.vvv", ("lspci", "-D", "-nn", "-vvv"), as_root=True, max_bytes=2 << 20),
)

HOST_COMMANDS = (
    DMESG,
    JOURNAL,
    Command("numactl", ("numactl", "-H")),
    Command("ip.addr", ("ip", "-j", "addr")),
    Command("ip.link", ("ip", "-j", "link")),
    Command("ip.rule", ("ip", "-j", "rule")),
    Command("ip.route", ("ip", "-j", "-4", "route", "show", "table", "all")),
    Command("df", ("df", "-P", "-B1", *LOCAL_PATHS)),
    Command("ss", ("ss", "-H", "-l", "-t", "-n", "-p")),
    Command("ps", ("ps", "-eo", "pid=,ppid=,user:32=,stat=,etimes=,comm=")),  # no arguments: they may hold secrets
    Command("pgrep.bench", ("pgrep", "-f", "bench[_ ]serv")),
    Command("pgrep.compiler", ("pgrep", "-l", "^(hipcc|clang|ninja)")),
    Command("docker.ps", ("docker", "ps", "--no-trunc", "--format", DOCKER_CONTAINER), as_root=True),
    Command("docker.root", ("docker", "info", "--format", "{{.DockerRootDir}}"), as_root=True),
    Command("chronyc", ("chronyc", "-n", "tracking")),
    Command("timedatectl", ("timedatectl", "show")),
    Command("systemctl.failed", ("systemctl", "--failed", "--plain", "--no-pager")),
    Command("virt", ("systemd-detect-virt",)),
    Command("modinfo.amdgpu", ("modinfo", "amdgpu")),
    Command(
        "kernel.config",
        ("grep", "-E", "^CONFIG_(DMABUF_MOVE_NOTIFY|PCI_P2PDMA|HSA_AMD|HSA_AMD_P2P)=", "/boot/config-{kernel}"),
    ),
    Command("lsmod", ("lsmod",)),
    SUDO,
)

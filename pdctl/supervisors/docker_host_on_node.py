"""Node side: what a node lends its containers: devices, groups, the model's files, its RDMA libraries, a JIT cache."""

import glob
import grp
import os

from pdctl.supervisors.docker_command_on_node import JIT_AT, JIT_DIRECTORIES
from pdctl.supervisors.node_state_on_node import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]
    Mount = tuple[str, str, bool]  # source, target, writable

GPU_DEVICE = "/dev/kfd"
DEVICES = (GPU_DEVICE, "/dev/dri", "/dev/infiniband")
GPU_GROUPS = ("video", "render")  # who may open them; a container has no names for the node's numbers
COUNTERS = "/sys/devices"  # without it, RDMA counters in a container are dangling links
LIBRARIES = ("libibverbs", "librdmacm", "libmlx5", "libionic", "libbnxt_re", "libmana", "libefa")
LIBRARY_DIRECTORIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")


def present_devices(needs_gpu: bool) -> "list[str]":
    """The devices that the node has. Refuses where a GPU is needed and the driver's device is not there."""
    found = [path for path in DEVICES if os.path.exists(path)]
    if needs_gpu and GPU_DEVICE not in found:
        raise Refusal("path", "missing on the node: " + GPU_DEVICE, "is the amdgpu driver loaded (lsmod, dmesg)?")
    return found


def device_groups() -> "list[int]":
    found = []
    for name in GPU_GROUPS:
        try:
            found.append(grp.getgrnam(name).gr_gid)
        except KeyError:
            continue
    return found


def rdma_mounts() -> "list[Mount]":
    """The node's own rdma-core, over the image's: user space and kernel of a NIC have to agree.

    Links that lead nowhere are left out: one of them keeps a container from starting (status 125).
    """
    found = []
    for directory in LIBRARY_DIRECTORIES:
        for name in LIBRARIES:
            found += sorted(glob.glob("{}/{}.so*".format(directory, name)))
            found += sorted(glob.glob("{}/{}-rdmav*.so".format(directory, name)))
        found.append(directory + "/libibverbs")
    found.append("/etc/libibverbs.d")
    mounts = [(path, path, False) for path in found if os.path.exists(path)]
    if not any(".so" in source for source, _, _ in mounts):
        raise Refusal(
            "path", "the node has no rdma-core to lend", "install rdma-core there, or set `docker: {host_rdma: false}`"
        )
    return mounts


def jit_mount(root: str, image: str) -> "Mount":
    """The cache of compiled kernels: a cold start compiles for some 15 min. Another image never reads it."""
    cache = os.path.join(root, ".jit", image[:12])
    for directory in JIT_DIRECTORIES.values():
        os.makedirs(os.path.join(cache, directory), mode=0o700, exist_ok=True)
    return (cache, JIT_AT, True)


def lent_paths(request: "Facts") -> "list[str]":
    """The launch's paths on the node. The program is the image's own unless a mount brings it."""
    return [path for path in request["paths"] if path != request["argv"][0] or is_covered(path, request["mounts"])]


def is_covered(path: str, mounts: "list[Mount]") -> bool:
    """Whether a mount already shows the node's `path` under its own name."""
    return any(
        source == target and (path == source or path.startswith(source.rstrip("/") + "/"))
        for source, target, _ in mounts
    )


def path_mounts(request: "Facts") -> "list[Mount]":
    """The launch's paths, the model among them: readable under the same names as on the node."""
    mounts = [tuple(mount) for mount in request["mounts"]]  # type: list[Any]
    for path in lent_paths(request):
        if not is_covered(path, mounts):
            mounts.append((path, path, False))
    return mounts

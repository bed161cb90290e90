"""An image for the lab's docker hosts: nothing can be pulled there, so it is made of the lab's own root.

It holds Debian with python3, and the checkout with its virtual environment and interpreter under their own paths: the
simulated engine runs in a container by the same command line as on the machine that tests it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig

from tests.lab.command import LabError
from tests.lab.host import LabHost
from tests.lab.linux import enter
from tests.lab.root import systemd_root
from tests.lab.site import project_directories

IMAGE = "pdctl-lab:latest"
_IMPORT_S = 180.0

_ROOT_WITHOUT = (
    "./boot/*", "./dev/*", "./proc/*", "./run/*", "./sys/*", "./tmp/*", "./var/cache/*", "./var/lib/apt",
    "./var/lib/dpkg", "./usr/bin/containerd*", "./usr/bin/docker*", "./usr/bin/ctr", "./usr/sbin/dockerd",
    "./usr/sbin/runc", "./usr/share/man", "./usr/lib/systemd",
)  # fmt: skip
_PROJECT_WITHOUT = (
    ".git", ".hypothesis", ".venv-*", "__pycache__", ".*_cache", "test", "tests", "mypy", "mypyc", "ruff", "*.a",
)  # fmt: skip


async def import_image(host: LabHost, image: str = IMAGE, *, program: str = "docker") -> str:
    """Make the image on a host that has docker or podman (`Systemd(docker=True)`); its id. Raises LabError."""
    return await asyncio.to_thread(_import, host.pid, image, program)


async def container_cli(host: LabHost, program: str, *arguments: str) -> str:
    """Output of docker or podman on a host; podman wants a working directory, which entering a host does not give."""
    return await host.run("/bin/sh", "-c", 'cd / && exec "$@"', "sh", program, *arguments)


def _import(pid: int, image: str, program: str) -> str:
    with (
        subprocess.Popen(_tar(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tar,
        subprocess.Popen(
            [*enter(pid), program, "import", "-", image],
            stdin=tar.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as docker,
    ):
        assert tar.stdout is not None
        tar.stdout.close()  # docker's alone, so that tar ends when docker does
        try:
            said, _ = docker.communicate(timeout=_IMPORT_S)
        except subprocess.TimeoutExpired:
            docker.kill()
            raise LabError(f"{program} import takes longer than {_IMPORT_S:g} s") from None
    if docker.returncode != 0 or tar.returncode not in (0, 1):  # 1: a file changed while it was read
        raise LabError(f"{program} import: status {docker.returncode}, tar {tar.returncode}: {said.strip()[-1000:]}")
    return said.strip()


def _tar() -> list[str]:
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}
    not_ours = sysconfig.get_path("purelib", vars=base).lstrip(
        "/"
    )  # the interpreter's own packages; ours are the venv's
    anchored = [f"--exclude={pattern}" for pattern in (*_ROOT_WITHOUT, f"{not_ours}/*")]
    anywhere = [f"--exclude={pattern}" for pattern in _PROJECT_WITHOUT]
    project = [path.lstrip("/") for path in project_directories()]
    return [
        "tar", "--create", "--anchored", *anchored, "--no-anchored", *anywhere,
        "-C", str(systemd_root()), ".", "-C", "/", *project,
    ]  # fmt: skip

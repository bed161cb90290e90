"""How a node starts the vLLM that the inventory gives it, for a benchmark instead of an engine."""

from __future__ import annotations

from dataclasses import replace

from pdctl.bench.drivers.means import Means
from pdctl.engines.vllm import program
from pdctl.model.deployment import Deployment, Mount
from pdctl.model.role import EngineKind, SupervisorKind
from pdctl.ssh.sudo import SudoShell

# The tool's directory is the present one, here as in the container. A signal to the client is passed on to what runs
# in the container, where --init sees to it that it ends. Variables are passed by name: a key is in no command line.
_IN_CONTAINER = (
    "c=$(command -v docker || command -v podman) || { echo 'docker: not found' >&2; exit 127; }; "
    'exec "$c" run --rm --init --network host --volume "$PWD:$PWD" --workdir "$PWD" '
    '--env OPENAI_API_KEY --env PYTHONHASHSEED --entrypoint vllm "$@"'
)


def on_node(means: Means, deployment: Deployment, driver: str) -> Means:
    """The means of `driver` on a node of `deployment`: where they name no program, the inventory's. Containers are
    started as root, as those of the engines are."""
    if means.program or driver != "vllm":
        return means
    shell = means.shell
    if deployment.engine.supervisor is SupervisorKind.DOCKER:
        shell = SudoShell(shell)
    return replace(means, shell=shell, program=vllm_on_node(deployment))


def vllm_on_node(deployment: Deployment) -> tuple[str, ...]:
    """The program that `Means` takes; () where the inventory says nothing of a vLLM (a simulated engine). The image is
    run beside the engines, without GPUs."""
    engine = deployment.engine
    if engine.kind is not EngineKind.VLLM:
        return ()
    if engine.supervisor is not SupervisorKind.DOCKER or engine.image is None:
        return program(engine)
    mounts = list(deployment.docker.mounts)
    path = deployment.model.path
    if path.startswith("/") and not any(_covers(mount, path) for mount in mounts):
        mounts.append(Mount(path, path))
    options = [f"--mount=type=bind,source={mount.source},target={mount.target},readonly" for mount in mounts]
    return ("sh", "-c", _IN_CONTAINER, "sh", *options, engine.image)


def _covers(mount: Mount, path: str) -> bool:
    """Whether the container sees the node's `path` under its own name by `mount`."""
    return mount.source == mount.target and f"{path}/".startswith(f"{mount.source.rstrip('/')}/")

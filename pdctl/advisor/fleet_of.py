"""The fleet that an inventory describes, as the model sees it: slots by GPU kind, with the profile of each shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pdctl.advisor.split import Fleet, Kind
from pdctl.errors import TooThin
from pdctl.model.deployment import ArgValue, Deployment, Parallel, PoolSpec, Slot
from pdctl.model.role import EngineKind, Role
from pdctl.perf.layout import InstanceModel, Placement, Policy, TransferModel
from pdctl.perf.profile import Limits, ModelError, Profile
from pdctl.perf.step_time import PROFILES, StepConstants

POLICIES: Final[Mapping[str, Policy]] = {
    "round_robin": Policy.ROUND_ROBIN,
    "random": Policy.RANDOM,
    "power_of_two": Policy.LEAST,
    "consistent_hash": Policy.RANDOM,
    "cache_aware": Policy.LEAST,
}
"""vllm-router's policies as the model knows them: of two drawn at random the emptier is near the emptiest, and prompts
without a common prefix are spread by load."""

SIMULATED_ERROR: Final = ModelError(e2el=0.05, tokens_per_s=0.05, itl_p99=0.05, ratio=0.05, attainment=0.05)
"""A simulated engine is paced by the very equation; what is left is the machine it runs on."""


@dataclass(frozen=True, slots=True)
class Modelled:
    """`error`: the largest of the profiles in it. `now`: prefill slots of each kind, None where it is colocated.
    `profiles`: their names. `notes`: what was assumed."""

    fleet: Fleet
    now: Mapping[str, int] | None
    error: ModelError
    profiles: tuple[str, ...]
    notes: tuple[str, ...]


def fleet_of(deployment: Deployment, profiles: Sequence[Profile]) -> Modelled:
    """All slots that have a pool. Raises TooThin, naming every GPU kind and shape that no profile knows."""
    slots = [slot for slot in deployment.slots if slot.pool is not None]
    if any(slot.group for slot in slots):
        raise TooThin(
            "an instance over several nodes has no profile to be told by",
            hint="advise a fleet without `group`, or give a profile of that shape",
        )
    by_kind: dict[str, list[Slot]] = {}
    for slot in slots:
        by_kind.setdefault(kind_of(deployment, slot), []).append(slot)
    used: dict[str, Profile] = {}
    missing: list[str] = []
    kinds = []
    for name, members in by_kind.items():
        instances = dict(_instances(deployment, members[0], profiles, used, missing))
        kinds.append(Kind(name, len(members), instances))
    if missing:
        raise TooThin(
            f"no profile of {deployment.model.name} on {', '.join(sorted(set(missing)))}",
            hint="`pdctl advise fit RUN...` makes one of a benchmark; `pdctl advise profiles` lists those there are",
        )
    reading = Counter(kind_of(deployment, slot) for slot in slots if _role(deployment, slot) is Role.PREFILL)
    colocated = any(_role(deployment, slot) is Role.MIXED for slot in slots)
    first = next(iter(used.values()))
    fleet = Fleet(
        tuple(kinds),
        replace(first.transfer, mode=deployment.kv.mode),
        POLICIES.get(deployment.router.policy, Policy.RANDOM),
        _floor(deployment, Role.PREFILL),
        _floor(deployment, Role.DECODE),
    )
    now = None if colocated else {kind.name: reading.get(kind.name, 0) for kind in kinds}
    return Modelled(fleet, now, _worst(used.values()), tuple(sorted(used)), tuple(_notes(deployment, used.values())))


def _instances(
    deployment: Deployment, slot: Slot, profiles: Sequence[Profile], used: dict[str, Profile], missing: list[str]
) -> Iterator[tuple[Role, tuple[InstanceModel, ...]]]:
    """What the slot would hold in each role; a role that no pool has takes the shape of another one's."""
    gpu = deployment.nodes[slot.node].gpu
    for role in (Role.PREFILL, Role.DECODE, Role.MIXED):
        pool = _pool(deployment, role)
        parallel = pool.parallel if pool else _any_parallel(deployment)
        profile = _profile(deployment, gpu, parallel, profiles)
        if len(slot.gpus) < parallel.ranks:
            continue
        if profile is None:
            missing.append(f"{gpu} with {_shape(parallel)}")
            continue
        used[profile.name] = profile
        yield role, (_instance(profile, role, pool),) * (len(slot.gpus) // parallel.ranks)


def _instance(profile: Profile, role: Role, pool: PoolSpec | None) -> InstanceModel:
    model = profile.instance(role)
    if role is Role.MIXED and profile.ranks > 1:
        model = replace(model, placement=Placement.RANDOM)
    if pool is None:
        return model
    return replace(
        model,
        chunk_tokens=_whole(pool.args.get("max-num-batched-tokens")) or model.chunk_tokens,
        max_seqs=_whole(pool.args.get("max-num-seqs")) or model.max_seqs,
    )


def _profile(deployment: Deployment, gpu: str, parallel: Parallel, profiles: Sequence[Profile]) -> Profile | None:
    if deployment.engine.kind is EngineKind.SIMULATED:
        return _simulated(deployment, gpu, parallel)
    for profile in profiles:
        same_model = profile.model.casefold() == deployment.model.name.casefold()
        if same_model and profile.gpu.casefold() == gpu.casefold() and profile.parallel == parallel:
            return profile
    return None


def _simulated(deployment: Deployment, gpu: str, parallel: Parallel) -> Profile:
    """What the simulated engines are told by their environment."""
    env = next(iter(deployment.pools.values())).env
    name, speed = env.get("PDCTL_SIM_PROFILE") or "laptop", float(env.get("PDCTL_SIM_SPEED") or 1.0)
    base = PROFILES[name]
    constants = StepConstants(*(getattr(base, each) / speed for each in StepConstants.__slots__))
    latency_s = float(env.get("PDCTL_SIM_KV_LATENCY_S") or 0.002) / speed
    per_token = float(env.get("PDCTL_SIM_KV_BYTES_PER_TOKEN") or 70272.0)
    transfer = TransferModel(deployment.kv.mode, per_token, 20e9 * speed, latency_s)
    return Profile(
        f"simulated {name}" + (f" x{speed:g}" if speed != 1 else ""),
        gpu,
        deployment.model.name,
        parallel,
        constants,
        "the simulated engine's own settings",
        transfer=transfer,
        limits={Role.MIXED: Limits(placement=Placement.LEAST)},
        error=SIMULATED_ERROR,
    )


def _notes(deployment: Deployment, used: Iterable[Profile]) -> Iterator[str]:
    if deployment.router.policy not in POLICIES:
        yield f"the router's policy {deployment.router.policy} is taken as random"
    if all(limits.kv_tokens is None for profile in used for limits in (*profile.limits.values(), Limits())):
        yield "KV capacity is taken as enough: the profile does not say it"


def kind_of(deployment: Deployment, slot: Slot) -> str:
    """The kind of hardware that a slot is: its GPUs' kind, and how many where they are a part of the node."""
    node = deployment.nodes[slot.node]
    return node.gpu if len(slot.gpus) == node.gpus else f"{node.gpu} x{len(slot.gpus)}"


def _role(deployment: Deployment, slot: Slot) -> Role:
    assert slot.pool is not None
    return deployment.pools[slot.pool].role


def _pool(deployment: Deployment, role: Role) -> PoolSpec | None:
    return next((pool for pool in deployment.pools.values() if pool.role is role), None)


def _any_parallel(deployment: Deployment) -> Parallel:
    return next(iter(deployment.pools.values())).parallel


def _floor(deployment: Deployment, role: Role) -> int:
    return max(1, sum(pool.min_instances for pool in deployment.pools.values() if pool.role is role))


def _shape(parallel: Parallel) -> str:
    return f"TP{parallel.tp} DP{parallel.dp}" + (" EP" if parallel.ep else "")


def _whole(value: ArgValue) -> int | None:
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else None


def _worst(profiles: Iterable[Profile]) -> ModelError:
    errors = [profile.error for profile in profiles]
    return ModelError(*(max(getattr(error, name) for error in errors) for name in ModelError.__slots__))

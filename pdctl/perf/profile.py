"""A profile: what is known of one model on one kind of GPU in one parallel layout, and how well it is known.

A profile belongs to a GPU kind. A fleet of several kinds uses one profile per kind, since prefill is bound by compute
and decode by memory bandwidth, and kinds differ in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pdctl.model.deployment import Parallel
from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, Layout, Placement, Policy, TransferModel
from pdctl.perf.step_time import StepConstants


@dataclass(frozen=True, slots=True)
class ModelError:
    """Mean absolute errors on runs that the constants were not fitted to, as shares (0.05: 5 %): of E2EL, of tokens per
    second, of P99 ITL, of the ratio between two layouts; of attainment in shares of all requests. inf: not known."""

    e2el: float = math.inf
    tokens_per_s: float = math.inf
    itl_p99: float = math.inf
    ratio: float = math.inf
    attainment: float = math.inf


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one rank, as in InstanceModel."""

    chunk_tokens: int = 8192
    max_seqs: int = 1024
    kv_tokens: int | None = None
    placement: Placement = Placement.LEAST


@dataclass(frozen=True, slots=True)
class Profile:
    """`gpu` as inventories write it; `parallel` of one instance. `factors`: by what factor each fitted constant may be
    off (one standard error; inf: the runs did not tell it); a constant without one was given, not fitted. `fitted_on`:
    the runs. `limits`: per role; roles without any have those of Limits."""

    name: str
    gpu: str
    model: str
    parallel: Parallel
    constants: StepConstants
    source: str
    fitted_on: str = ""
    factors: Mapping[str, float] = field(default_factory=dict)
    transfer: TransferModel = field(default_factory=TransferModel)
    policy: Policy = Policy.ROUND_ROBIN
    decode_policy: Policy | None = None
    limits: Mapping[Role, Limits] = field(default_factory=dict)
    error: ModelError = ModelError()

    @property
    def ranks(self) -> int:
        """Lock-step ranks of one instance: data-parallel ranks wait for each other, tensor-parallel ones are one."""
        return self.parallel.dp

    @property
    def gpus(self) -> int:
        """GPUs of one instance."""
        return self.parallel.tp * self.parallel.dp

    def instance(self, role: Role) -> InstanceModel:
        """One instance of that role."""
        limits = self.limits.get(role, Limits())
        return InstanceModel(
            role,
            self.constants,
            self.ranks,
            limits.chunk_tokens,
            limits.max_seqs,
            limits.kv_tokens,
            limits.placement,
        )

    def layout(self, words: str) -> Layout:
        """`2P3D` or `5M` of this profile's instances. Raises ValueError for other words."""
        return Layout(
            tuple(self.instance(role) for role in roles_of(words)), self.transfer, self.policy, self.decode_policy
        )


def roles_of(words: str) -> tuple[Role, ...]:
    """The roles of a layout's instances. Raises ValueError where `words` are no layout."""
    head, mixed, tail = words.partition("M")
    if mixed and head.isdigit() and not tail:
        return (Role.MIXED,) * int(head)
    prefill, parted, decode = words.removesuffix("D").partition("P")
    if not (words.endswith("D") and parted and prefill.isdigit() and decode.isdigit()):
        raise ValueError(f"{words!r} is no layout: 2P3D, 5M")
    return (Role.PREFILL,) * int(prefill) + (Role.DECODE,) * int(decode)

"""The members file that pdctl writes and the state file that the registrar answers with, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.model.deployment import Deployment
from pdctl.model.launch import Registration
from pdctl.model.observed import MemberSeen, MembershipSeen
from pdctl.routers.facts import Removal, router_facts
from pdctl.routers.ports import local_address, planned_ports

SCHEMA = 1
_FIELDS = ("type", "http_address", "zmq_address", "dp_size", "tp_size", "transfer_mode")


@dataclass(frozen=True, slots=True)
class Member:
    """An instance that the router may pick: what the registrar says of it, once per second."""

    name: str
    generation: int
    registration: Registration


@dataclass(frozen=True, slots=True)
class RegistrarState:
    """What the registrar last wrote. `ts` is Unix time by its node's clock.

    `departed_s`: seconds, as of `ts`, since the router may last have been told about a former member.
    """

    ts: float
    epoch: int
    seq: int
    router_reachable: bool
    router_why: str
    members: Mapping[str, MemberSeen]
    departed_s: Mapping[str, float]
    alerts: tuple[str, ...]

    def seen(self, now: float) -> MembershipSeen:
        """The same as an observation made at `now`, by the node's clock."""
        age_s = max(0.0, now - self.ts)
        departed_s = {name: told_s + age_s for name, told_s in self.departed_s.items()}
        return MembershipSeen(self.epoch, self.seq, self.router_reachable, self.members, age_s, self.alerts, departed_s)


def members_document(
    deployment: Deployment, members: Mapping[str, Member], *, epoch: int, flip: int = 0
) -> dict[str, Any]:
    """The members file, but for `seq`, which the node counts when it writes it."""
    ports = planned_ports(deployment, flip)
    admin = router_facts(deployment).removal is Removal.ADMIN
    return {
        "schema": SCHEMA,
        "cluster": deployment.cluster,
        "epoch": epoch,
        "mode": "admin" if admin else "ttl",
        "router": {"http": local_address(deployment.router), "discovery": f"127.0.0.1:{ports.discovery}"},
        "members": [_entry(members[name]) for name in sorted(members)],
    }


def parse_members(text: str) -> dict[str, Member]:
    """The members of a members file, by name; none where the file is empty. Raises ValueError."""
    try:
        entries = json.loads(text)["members"] if text.strip() else []
        found = [_member(entry) for entry in entries]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a members file: {error!r}") from error
    return {member.name: member for member in found}


def parse_state(text: str) -> RegistrarState:
    """The registrar's state file. Raises ValueError where it is not one."""
    try:
        raw = json.loads(text)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"registrar state of schema {raw['schema']}, not {SCHEMA}")
        seen = [
            MemberSeen(each["name"], each["generation"], each["registered"], each["why"]) for each in raw["members"]
        ]
        return RegistrarState(
            ts=float(raw["ts"]),
            epoch=int(raw["epoch"]),
            seq=int(raw["seq"]),
            router_reachable=bool(raw["router"]["reachable"]),
            router_why=str(raw["router"]["why"]),
            members={member.name: member for member in seen},
            departed_s={each["name"]: float(each["last_sent_age_s"]) for each in raw["departed"]},
            alerts=tuple(str(alert) for alert in raw["alerts"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a registrar's state: {error!r}") from error


def _entry(member: Member) -> dict[str, Any]:
    registration = {field: getattr(member.registration, field) for field in _FIELDS}
    return {"name": member.name, "generation": member.generation, **registration}


def _member(entry: Mapping[str, Any]) -> Member:
    return Member(entry["name"], entry["generation"], Registration(**{field: entry[field] for field in _FIELDS}))

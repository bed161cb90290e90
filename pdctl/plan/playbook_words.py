"""What a step of a playbook does, in words. Pure."""

from __future__ import annotations

from pdctl.inventory.playbook_schema import (
    CanaryVerb,
    CheckVerb,
    CompareSection,
    ConfirmVerb,
    DownVerb,
    DrainVerb,
    GateVerb,
    MoveVerb,
    RestartVerb,
    SetVerb,
    SmokeVerb,
    UndrainVerb,
    UpVerb,
)
from pdctl.inventory.sections import Section


def words(verb: str, args: Section) -> str:
    """`up n1`, `move n2 to decode`, `wait until every instance is a member`."""
    match args:
        case CheckVerb() | UpVerb() | UndrainVerb() | RestartVerb():
            return f"{verb} {args.select}" if args.select else verb
        case DownVerb():
            return " ".join(word for word in ("down", args.select, "now" if args.now else None) if word)
        case CanaryVerb():
            return "canary through every pair"
        case SmokeVerb():
            return f"{args.requests} requests through the router"
        case MoveVerb():
            return f"move {args.select} to {args.to}"
        case DrainVerb():
            return f"drain {args.select}{' and stop it' if args.stop else ''}"
        case SetVerb():
            return f"set {args.path} to {args.value}"
        case GateVerb():
            return f"wait until {', '.join(_named(args))}"
        case ConfirmVerb():
            return args.ask
        case _:
            return verb


def _named(gate: GateVerb) -> list[str]:
    """The conditions of a gate, each in a word or two."""
    named = {
        "all serve": gate.members is not None,
        "no alert stands": gate.alerts is not None,
        f"attainment >= {gate.attainment or 0:g}": gate.attainment is not None,
        f"{gate.compare.select if gate.compare else ''} is as fast as its peers": gate.compare is not None,
    }
    return [name for name, is_wanted in named.items() if is_wanted]


def wanted(gate: GateVerb) -> tuple[str, ...]:
    """The conditions of a gate, each in words."""
    found = []
    if gate.members is not None:
        found.append(f"{gate.select or 'every instance'} is a member")
    if gate.alerts is not None:
        found.append("no alert stands")
    if gate.attainment is not None:
        found.append(f"attainment is at least {gate.attainment:g}")
    if gate.compare is not None:
        found.append(f"{gate.compare.select} is as fast as its peers ({', '.join(_limits(gate.compare))})")
    return tuple(found)


def _limits(compare: CompareSection) -> list[str]:
    limits = compare.model_dump(exclude={"select", "to"}, exclude_none=True)
    return [f"{name.replace('_', ' ')} +{share:.0%}" for name, share in limits.items()]

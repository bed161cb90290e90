"""The YAML of a playbook: variables, and steps of one verb each. Every verb is a use case that the CLI has too.

Rules across fields are in `playbook_rules`; what `{{ name }}` stands for is in `playbook_vars`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pdctl.inventory.scalars import Duration, Name, Text, check_arg_value, complain, show
from pdctl.inventory.sections import Section

VarType = Literal["text", "int", "number", "bool", "duration", "selector", "pool"]

_SHARE = re.compile(r"(?:>=\s*)?(\d(?:\.\d{1,6})?)")
_PERCENT = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*%")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,31}")


def check_variable(value: object) -> str:
    """A variable's name."""
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return value
    raise complain(f"must be a variable's name: a-z first, then a-z, 0-9 and _, not {show(value)}")


def check_share(value: object) -> float:
    """A share that must be reached: 0.95, or `>= 0.95`."""
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(match[1]) if match else value
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 < number <= 1:
        return float(number)
    raise complain(f"must be a share above 0 and at most 1, not {show(value)}", 'write ">= 0.95"')


def check_percent(value: object) -> float:
    """How much worse something may be: `10%`. The value is a share, 0.1."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise complain(f"must be a percentage, not {show(value)}", "write 10%")
    return float(match[1]) / 100


Variable = Annotated[str, BeforeValidator(check_variable), WithJsonSchema({"type": "string"})]
Share = Annotated[float, BeforeValidator(check_share), WithJsonSchema({"type": ["number", "string"]})]
Percent = Annotated[float, BeforeValidator(check_percent), WithJsonSchema({"type": "string"})]
Value = Annotated[
    Any, AfterValidator(check_arg_value), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})
]


class VarSection(Section):
    """A variable of the playbook: `--set name=value` gives it, `{{ name }}` stands for it."""

    type: VarType = Field("text", description="What it holds.")
    default: Value = Field(None, description="What it is where nobody gives it.")
    required: bool = Field(False, description="It has to be given with --set.")
    choices: list[Value] = Field(default_factory=list, description="All that it may be; empty: anything of its type.")
    help: Text | None = Field(None, description="What it is for, in one line.")


class CheckVerb(Section):
    """`pdctl check`: the nodes are fit to serve."""

    select: Text | None = Field(None, description="Nodes, slots or @pools. Default: all.")
    fabric: bool = Field(False, description="Test the rails that KV will move over too.")
    floors: bool = Field(False, description="Measure idle GPUs too; takes minutes.")


class UpVerb(Section):
    """`pdctl up`: the cluster becomes what the inventory says."""

    select: Text | None = Field(None, description="Nodes, slots or @pools. Default: all.")
    at_once: int = Field(1, ge=1, le=1000, description="Instances of a pool that may be out of service together.")
    force: bool = Field(False, description="Let a pool fall below its floor.")
    adopt: bool = Field(False, description="Go on although somebody applied another inventory since.")
    skip_checks: bool = Field(False, description="Start without checking the nodes first.")


class DownVerb(Section):
    """`pdctl down`: fence, drain, stop, verify."""

    select: Text | None = Field(None, description="Nodes, slots or @pools. Default: all, with router and registrar.")
    now: bool = Field(False, description="Stop at once and cut what is in flight.")


class CanaryVerb(Section):
    """`pdctl canary`: every prefill x decode pair hands KV over."""

    rounds: int = Field(2, ge=1, le=1000, description="How often every pair is tried.")


class SmokeVerb(Section):
    """Requests through the router, as clients send them. Every one has to be answered whole."""

    requests: int = Field(8, ge=1, le=100_000, description="How many.")
    concurrency: int = Field(4, ge=1, le=1024, description="How many at once.")
    isl: int = Field(64, ge=1, le=1_000_000, description="Tokens of a prompt.")
    osl: int = Field(16, ge=1, le=100_000, description="Tokens of an answer.")
    deadline: Duration = Field(120.0, description="Longest time for one request.")
    url: Text | None = Field(None, description="Where clients find the router. Default: its node's host and its port.")


class MoveVerb(Section):
    """`pdctl move`: slots change their pool, and no request is lost."""

    select: Text = Field(description="Nodes or slots that move.")
    to: Name = Field(description="Their new pool; none makes them spares.")
    at_once: int = Field(1, ge=1, le=1000, description="Instances of a pool that may be out of service together.")
    on_deadline: Literal["cut", "cancel"] = Field(
        "cut", description="Where a drain takes longer than budgets.drain: go on and count what is lost, or stay."
    )
    canary: Literal["all", "one", "none"] = Field("all", description="Which pairs are proved before it serves.")
    skip_checks: bool = Field(False, description="Start without checking the nodes first.")
    force: bool = Field(False, description="Go below the pool's floor, never below one instance of a role.")


class DrainVerb(Section):
    """`pdctl drain`: out of service, with a hold that every command honours."""

    select: Text = Field(description="Nodes, slots or @pools.")
    reason: str = Field("", description="Why, for whoever meets the hold.")
    stop: bool = Field(False, description="Stop the engines too, once drained.")
    hold_for: Duration | None = Field(None, description="The hold ends by itself after this. Default: it stays.")
    deadline: Duration | None = Field(None, description="Longest wait for requests in flight. Default: as budgeted.")
    force: bool = Field(False, description="Go below the pool's floor, and over somebody else's hold.")


class UndrainVerb(Section):
    """`pdctl undrain`: the holds are taken away, and what they held back serves again."""

    select: Text = Field(description="Nodes, slots or @pools.")


class RestartVerb(Section):
    """`pdctl restart`: relaunch instances, a few at a time."""

    select: Text = Field(description="Nodes, slots or @pools.")
    at_once: int = Field(1, ge=1, le=1000, description="Instances of a pool that may be out of service together.")
    force: bool = Field(False, description="Let a pool fall below its floor.")


class SetVerb(Section):
    """Replace one scalar of the inventory, and not a byte besides. Undoing puts back what was written there."""

    path: Text = Field(description="Where, such as engine.image.")
    value: Value = Field(description="What is to be written there.")


class CompareSection(Section):
    """Instances against the others of their pool. A figure may be that much worse than the peers' median."""

    select: Text = Field(description="The instances that are looked at.")
    to: Literal["peers"] = Field("peers", description="The other instances of the same pool.")
    ttft_mean: Percent | None = Field(None, description="Mean time to first token, by the engine.")
    ttft_p99: Percent | None = Field(None, description="P99 of the time to first token, by the engine.")
    itl_mean: Percent | None = Field(None, description="Mean inter-token latency; says nothing of prefill instances.")
    itl_p99: Percent | None = Field(None, description="P99 inter-token latency; says nothing of prefill instances.")


class GateVerb(Section):
    """Wait until all of it holds for a while. What is unknown never holds."""

    members: Literal["all"] | None = Field(None, description="Every instance is up, and the router may pick it.")
    alerts: Literal["none"] | None = Field(None, description="No alert that pages or warns stands.")
    attainment: Share | None = Field(None, description="Share of requests within the SLO, as >= 0.95.")
    compare: CompareSection | None = Field(None, description="Some instances against their peers.")
    select: Text | None = Field(None, description="Which instances `members` is about. Default: all.")
    window: Literal[10, 60, 300] = Field(60, description="Seconds that `attainment` is taken over.")
    settle: Duration = Field(10.0, description="How long it has to hold without a break.")
    within: Duration = Field(600.0, description="How long to wait for that.")


class ConfirmVerb(Section):
    """Ask the operator; `--yes` answers. Without anybody to ask the run stops here, and can be resumed."""

    ask: Text = Field(description="The question.")


class UndoStep(Section):
    """A step that takes back what another one did."""

    name: Text | None = Field(None, description="What the step is called. Default: its verb in words.")
    timeout: Duration | None = Field(None, description="After this the step is asked to stop, and has failed.")
    check: CheckVerb | None = None
    up: UpVerb | None = None
    down: DownVerb | None = None
    canary: CanaryVerb | None = None
    smoke: SmokeVerb | None = None
    move: MoveVerb | None = None
    drain: DrainVerb | None = None
    undrain: UndrainVerb | None = None
    restart: RestartVerb | None = None
    set: SetVerb | None = None
    gate: GateVerb | None = None
    confirm: ConfirmVerb | None = None


class InnerStep(UndoStep):
    """A step as it stands in a loop."""

    when: Text | None = Field(
        None, description="Take the step only if: name, not name, name == value, or name != value."
    )
    undo: list[UndoStep] = Field(default_factory=list, description="What takes the step back.")
    on_failure: Literal["stop", "undo", "ask"] = Field(
        "stop", description="stop: the run can be resumed; undo: all that was done is taken back; ask: the operator."
    )


class ForEachVerb(Section):
    """Steps for one node after another."""

    select: Text = Field(description="Which nodes. A node that is selected in part stands for those slots.")
    into: Variable = Field("node", description="The variable that holds the node's name in the steps.")
    steps: list[InnerStep] = Field(description="The steps.")


class StepSection(InnerStep):
    """One step: one verb, and what may be said of every step."""

    for_each: ForEachVerb | None = None


class PlaybookSpec(Section):
    """A playbook: use cases of pdctl, one after the other, with gates, undo and resume."""

    version: Literal[1] = Field(description="The version of this format.")
    name: Name = Field(description="The playbook's name.")
    about: Text = Field(description="What it is for, in one line.")
    vars: dict[Variable, VarSection] = Field(default_factory=dict, description="Its variables, by name.")
    steps: list[StepSection] = Field(description="What it does, in order.")


VERBS: Final = tuple(name for name in UndoStep.model_fields if name not in ("name", "timeout"))
"""The verbs of single steps; `for_each` is the one that holds others."""


def playbook_schema_json() -> dict[str, Any]:
    """The JSON Schema of a playbook, for editors. Scalars of steps may hold `{{ name }}` where text stands."""
    schema = PlaybookSpec.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pdctl playbook",
        **{key: value for key, value in schema.items() if key != "title"},
    }

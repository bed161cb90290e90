"""Every mistake of a playbook is shown at once, each with its place; and what is given with --set as well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pdctl.inventory.playbook_load import InvalidPlaybook, parse_playbook, values_of
from pdctl.inventory.problems import Problem

HEAD = "version: 1\nname: p\nabout: a test\n"


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidPlaybook) as caught:
        parse_playbook(text.encode(), Path("p.yaml"))
    assert caught.value.exit_code == 65
    return caught.value.located


def said(problem: Problem, *, hint: bool = True) -> str:
    told = f" ({problem.hint})" if problem.hint and hint else ""
    return f"{problem.line}:{problem.col}: {problem.where}: {problem.message}{told}"


def steps(line: str) -> str:
    """A playbook whose line 5 is the step."""
    return f"{HEAD}steps:\n{line}\n"


def variables(line: str) -> str:
    """A playbook whose line 5 is the variable."""
    return f"{HEAD}vars:\n{line}\nsteps: [{{up: }}]\n"


STEPS = """\
- check
    5:3: steps[0]: must be a mapping of keys to values, not 'check'

- name: x
    5:3: steps[0]: has no verb
    one of check, up, down, canary, smoke, move, drain, undrain, restart, set, gate, confirm, for_each

- chek: {}
    5:3: steps[0].chek: unknown key
    did you mean `check`?

- {up: , down: }
    5:10: steps[0].down: a step has one verb, and this one has 'up' already

- up: {selct: n1}
    5:8: steps[0].up.selct: unknown key
    did you mean `select`?

- move: {select: n1}
    5:3: steps[0].move: the key `to` is missing

- move: {select: n1, to: A}
    5:26: steps[0].move.to: must be 1 to 32 of a-z, 0-9 and -, not 'A'
    for example `a`

- canary: {rounds: many}
    5:20: steps[0].canary.rounds: must be a whole number, not 'many'

- smoke: {requests: 0}
    5:21: steps[0].smoke.requests: must be at least 1, not 0

- confirm:
    5:3: steps[0].confirm: the key `ask` is missing

- gate:
    5:3: steps[0].gate: waits for nothing
    one of members, alerts, attainment, compare

- gate: {members: most}
    5:19: steps[0].gate.members: must be all, not 'most'

- gate: {attainment: 95}
    5:22: steps[0].gate.attainment: must be a share above 0 and at most 1, not 95
    write ">= 0.95"

- gate: {compare: {select: n1, itl_p99: 0.1}}
    5:41: steps[0].gate.compare.itl_p99: must be a percentage, not 0.1
    write 10%

- gate: {compare: {select: n1}}
    5:10: steps[0].gate.compare: compares nothing
    one of ttft_mean, ttft_p99, itl_mean, itl_p99

- {up: , timeout: soon}
    5:19: steps[0].timeout: must be a duration, not 'soon'
    write it as 50ms, 1s, 30m, 1.5h or a number of seconds

- {up: , on_failure: retry}
    5:22: steps[0].on_failure: must be stop, undo or ask, not 'retry'

- {up: , undo: {down: }}
    5:10: steps[0].undo: must be a list, not a mapping

- {up: , undo: [{for_each: {}}]}
    5:18: steps[0].undo[0].for_each: unknown key

- up: {select: "{{ nod }}"}
    5:16: steps[0].up.select: there is no variable 'nod'

- up: {select: "{{ a b }}"}
    5:16: steps[0].up.select: holds braces that are no variable
    one name and nothing else: "{{ name }}"

- up: {select: {{ node }}}
    5:17: steps[0].up.select: a key must be plain text
    a variable is quoted: "{{ name }}"

- {up: , when: a and b}
    5:16: steps[0].when: is no test of a variable: 'a and b'
    name, not name, name == value, or name != value; no braces, no `and`

- {up: , when: not fast}
    5:16: steps[0].when: there is no variable 'fast'

- for_each: {select: "*", steps: []}
    5:27: steps[0].for_each.steps: has no step

- for_each: {steps: [{up: }]}
    5:3: steps[0].for_each: the key `select` is missing

- {for_each: {select: "*", steps: [{up: }]}, undo: [{down: }]}
    5:46: steps[0].undo: is said of the steps inside of a loop, not of the loop

- for_each: {select: "*", steps: [{up: {select: "{{ noed }}"}}]}
    5:49: steps[0].for_each.steps[0].up.select: there is no variable 'noed'
    did you mean `node`?

- for_each: {select: "{{ node }}", steps: [{up: }]}
    5:22: steps[0].for_each.select: there is no variable 'node'
"""
VARIABLES = """\
  x: {}
    5:3: vars.x: has no default and is not required
    write `default:` or `required: true`

  x: {required: true, default: a}
    5:17: vars.x.required: is required, and has a default
    leave one of the two out

  x: {type: int, default: many}
    5:27: vars.x.default: must be a whole number, not 'many'

  x: {type: txt, default: a}
    5:13: vars.x.type: must be text, int, number, bool, duration, selector or pool, not 'txt'
    did you mean `text`?

  x: {default: a, choices: [b, c]}
    5:16: vars.x.default: is none of the choices: b, c

  X: {default: a}
    5:3: vars.X: must be a variable's name: a-z first, then a-z, 0-9 and _, not 'X'

  x: {default: a}
  x: {default: b}
    6:3: vars.x: said twice; the first is on line 5
"""


def cases(table: str) -> list[tuple[str, str, str]]:
    """(text, what is said, the hint) of every case: the text, and below it, indented by four, what is expected."""
    found = []
    for case in table.strip("\n").split("\n\n"):
        lines = case.splitlines()
        expected = [line.strip() for line in lines if line.startswith("    ")]
        text = "\n".join(line for line in lines if not line.startswith("    "))
        found.append((text, expected[0], expected[1] if len(expected) > 1 else ""))
    return found


@pytest.mark.parametrize(("step", "problem", "hint"), cases(STEPS))
def test_a_mistake_in_a_step_is_one_located_error(step: str, problem: str, hint: str) -> None:
    (found,) = problems_of(steps(step))
    assert said(found, hint=False) == problem
    assert found.hint == hint or (not hint and found.hint.startswith("known: "))


@pytest.mark.parametrize(("variable", "problem", "hint"), cases(VARIABLES))
def test_a_mistake_in_a_variable_is_one_located_error(variable: str, problem: str, hint: str) -> None:
    (found,) = problems_of(variables(variable))
    assert (said(found, hint=False), found.hint) == (problem, hint)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: : the playbook is empty (`pdctl run --list` names those that come with pdctl)"),
        (HEAD, "1:1: : the key `steps` is missing"),
        (f"{HEAD}steps: []\n", "4:1: steps: has no step"),
        (
            f"{HEAD}steps: [{{up: }}]\ncolour: red\n",
            "5:1: colour: unknown key (known: about, name, steps, vars, version)",
        ),
        (f"{HEAD.replace('1', '2')}steps: [{{up: }}]\n", "1:10: version: must be 1, not 2"),
        ("a: [\n", "2:1: : not valid YAML: did not find expected node content"),
    ],
)
def test_a_mistake_of_the_whole_is_one_located_error(text: str, problem: str) -> None:
    assert [said(each) for each in problems_of(text)] == [problem]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = f"{HEAD}vars: {{n: {{type: int, default: x}}}}\nsteps:\n- chek:\n- canary: {{rounds: -1}}\n- gate:\n"
    found = problems_of(text)
    assert [(each.line, each.where) for each in found] == [
        (4, "vars.n.default"),
        (6, "steps[0].chek"),
        (7, "steps[1].canary.rounds"),
        (8, "steps[2].gate"),
    ]


VALUES = """\
version: 1
name: p
about: a test
vars:
  node: {type: selector, required: true, help: who}
  count: {type: int, default: 3}
  fast: {type: bool, default: false}
  wait: {type: duration, default: 2m}
  mode: {default: read, choices: [read, write]}
steps: [{up: {select: "{{ node }}"}}]
"""


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"node": "n1"}, {"node": "n1", "count": 3, "fast": False, "wait": 120.0, "mode": "read"}),
        (
            {"node": "@decode", "count": "-4", "fast": "yes", "wait": "1.5h", "mode": "write"},
            {"node": "@decode", "count": -4, "fast": True, "wait": 5400.0, "mode": "write"},
        ),
    ],
)
def test_what_is_given_is_typed_and_the_rest_has_its_default(
    given: Mapping[str, str], values: Mapping[str, object]
) -> None:
    assert values_of(parse_playbook(VALUES.encode(), Path("p.yaml")), given) == values


def test_all_that_is_missing_unknown_or_of_another_type_is_told_at_once() -> None:
    with pytest.raises(InvalidPlaybook) as caught:
        values_of(
            parse_playbook(VALUES.encode(), Path("p.yaml")),
            {"cuont": "1", "count": "two", "fast": "maybe", "mode": "both"},
        )
    assert [said(each) for each in caught.value.located] == [
        "4:1: vars: there is no variable 'cuont' to set (did you mean `count`?)",
        "5:3: vars.node: the variable 'node' has to be given (--set node=… (who))",
        "6:3: vars.count: --set count: must be a whole number, not 'two'",
        "7:3: vars.fast: --set fast: must be true or false, not 'maybe'",
        "9:3: vars.mode: --set mode: must be one of read, write, not 'both'",
    ]

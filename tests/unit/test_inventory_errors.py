"""Every mistake of an inventory is shown at once, each with its line, column and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from pdctl.errors import InventoryError
from pdctl.inventory.bridge import _FILLERS
from pdctl.inventory.finding import related
from pdctl.inventory.load import load, parse
from pdctl.inventory.problems import InvalidInventory, Problem
from pdctl.inventory.schema import InventorySpec

TEN_MISTAKES = """\
version: 1
cluster: Ten_Mistakes
model: {name: m, path: /m}
slo: {ttft: 1sec, itl: 50ms}
ssh: {user: ops, identty: ~/.ssh/id}
engine:
  kind: vllm
  version: 0.30
  supervisor: docker
  image: rocm/vllm-dev:nightly
  env: {HF_TOKEN: hf_abc}
kv: {connector: moriio, mode: write}
router: {kind: vllm-router, node: n9, python: /opt/python}
pools:
  prefill: {role: prefill, parallel: {tp: 2, dp: 2}}
  decode:
    role: decode
    parallel: {tp: 4}
    args: {port: 8000}
nodes:
  n1: {host: 10.0.0.1, gpus: 8, pool: prefil}
  n2: {host: 10.0.0.2, gpus: 8, slots: {a: {gpus: 0-3, pool: decode}, b: {gpus: 3-6, pool: decode}}}
"""


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidInventory) as caught:
        parse(text.encode(), Path("inventory.yaml"))
    return caught.value.located


def test_ten_mistakes_are_ten_located_errors_in_one_run() -> None:
    found = [(each.line, each.col, each.where, each.message) for each in problems_of(TEN_MISTAKES)]
    assert found == [
        (2, 10, "cluster", "must be 1 to 32 of a-z, 0-9 and -, not 'Ten_Mistakes'"),
        (4, 13, "slo.ttft", "unknown unit of time 'sec'"),
        (5, 18, "ssh.identty", "unknown key"),
        (8, 12, "engine.version", "must be text: YAML reads a bare 0.30 as 0.3"),
        (11, 9, "engine.env.HF_TOKEN", "HF_TOKEN looks like a secret written out"),
        (13, 35, "router.node", "there is no node 'n9'"),
        (
            15,
            28,
            "pools.prefill.parallel",
            "MoRI-IO cannot have dp 2 with tp 2: rank ports are handshake_port + dp + tp and collide",
        ),
        (19, 12, "pools.decode.args.port", "--port is set by pdctl: ports are planned for every launch"),
        (21, 39, "nodes.n1.pool", "there is no pool 'prefil'"),
        (22, 81, "nodes.n2.slots.b.gpus", "GPU 3 of node n2 is already used by nodes.n2.slots.a"),
    ]


def test_a_problem_shows_its_line_a_caret_and_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(TEN_MISTAKES)
    with pytest.raises(InventoryError) as caught:
        load(file)
    assert caught.value.exit_code == 65
    assert str(caught.value) == f"{file}: 10 problems"
    assert caught.value.problems[2] == "\n".join(
        [
            f"{file}:5:18: ssh.identty: unknown key",
            "    ssh: {user: ops, identty: ~/.ssh/id}",
            "                     ^^^^^^^",
            "  hint: did you mean `identity`?",
        ]
    )


def test_a_problem_as_json_has_no_excerpt() -> None:
    assert problems_of("version: 1\nversion: 1\n")[0].as_json() == {
        "file": "inventory.yaml",
        "line": 1,
        "col": 1,
        "where": "",
        "message": "the key `cluster` is missing",
        "hint": "",
    }


@pytest.mark.parametrize(
    ("text", "line", "col", "message"),
    [
        ("", 1, 1, "the inventory is empty"),
        ("# nothing\n", 1, 1, "the inventory is empty"),
        ("just words\n", 1, 1, "must be a mapping of keys to values, not 'just words'"),
        ("a: [1\nb: 2\n", 2, 2, "not valid YAML: did not find expected ',' or ']'"),
        ("a:\n\tb: 1\n", 2, 1, "not valid YAML: found character that cannot start any token"),
        ("a: 1\n---\nb: 2\n", 2, 1, "not valid YAML: but found another document"),
        ("a: *nowhere\n", 1, 4, "not valid YAML: found undefined alias"),
        ("é: 1\na: \x07\n", 2, 4, "not valid YAML: character U+0007 is not allowed"),
        ("a: &a [*a]\n", 1, 1, "unknown key"),
        (f"a: {'[' * 60}{']' * 60}\n", 1, 43, "nested more than 40 levels deep"),
        ("a: !!python/object:os.system {}\n", 1, 4, "the tag 'python/object:os.system' is not used here"),
    ],
)
def test_broken_yaml_is_one_located_error(text: str, line: int, col: int, message: str) -> None:
    assert (line, col, message) in [(each.line, each.col, each.message) for each in problems_of(text)]


def test_tabs_are_explained() -> None:
    assert problems_of("a:\n\tb: 1\n")[0].hint == "YAML does not allow tabs for indentation: use spaces"


def test_deep_nesting_and_alias_bombs_do_not_take_the_process_down() -> None:
    problems_of("[" * 200_000)
    bomb = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert any("aliases" in each.message for each in problems_of(f"a0: &a0 x\n{bomb}"))


def test_a_missing_file_is_an_inventory_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInventory) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.located[0].message == "cannot be read: no such file or directory"
    assert caught.value.exit_code == 65


def test_bytes_that_are_not_utf8_are_located() -> None:
    with pytest.raises(InvalidInventory) as caught:
        parse(b"version: 1\ncluster: caf\xe9\n", Path("i.yaml"))
    (problem,) = caught.value.located
    assert (problem.line, problem.col, problem.message) == (2, 13, "not UTF-8: byte 0xe9")


def test_what_a_terminal_would_act_on_is_not_printed() -> None:
    rendered = "\n".join(problem.render() for problem in problems_of("a: \x1b]0;x\x07\n"))
    assert "\x1b" not in rendered
    assert "\x07" not in rendered


def test_a_long_line_is_cut_around_its_caret() -> None:
    filler = ", ".join(f"k{i}: {i}" for i in range(60))
    problem = next(each for each in problems_of(f"slo: {{{filler}, ttft: never}}\n") if each.where == "slo.ttft")
    _, source, caret, *_ = problem.render().splitlines()
    assert len(source) <= 150
    assert source[caret.index("^") : caret.rindex("^") + 1] == "never"


def test_every_required_key_has_a_stand_in() -> None:
    """Without one, a missing key would hide the mistakes of all other sections."""

    def walk(kind: type[BaseModel], loc: tuple[str, ...]) -> None:
        for name, field in kind.model_fields.items():
            here = (*loc, name)
            if field.is_required() and name != "description":
                assert any(len(pattern) == len(here) and related(pattern, here) for pattern in _FILLERS), here
            for each in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if isinstance(each, type) and issubclass(each, BaseModel):
                    walk(each, here if each is field.annotation else (*here, "x"))

    walk(InventorySpec, ())

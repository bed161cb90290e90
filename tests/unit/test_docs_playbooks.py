"""docs/playbooks.md says what the schema says, and its examples are playbooks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from pdctl.inventory.playbook_find import shipped_playbooks
from pdctl.inventory.playbook_load import parse_playbook
from pdctl.inventory.playbook_schema import VERBS, PlaybookSpec, StepSection

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "playbooks.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("verb", [*VERBS, "for_each"])
def test_every_verb_and_its_fields_are_named(verb: str) -> None:
    section = next(each for each in get_args(StepSection.model_fields[verb].annotation) if issubclass(each, BaseModel))
    (row,) = [line for line in TEXT.splitlines() if line.startswith("| ") and f"`{verb}`" in line.split("|")[1]]
    shown = row + "".join(EXAMPLES) if verb == "gate" else row
    assert [name for name in section.model_fields if f"`{name}`" not in shown and f"{name}:" not in shown] == []


def test_every_shipped_playbook_is_named() -> None:
    assert [name for name in shipped_playbooks() if f"`{name}`" not in TEXT] == []


def test_the_examples_are_valid() -> None:
    whole, gate = EXAMPLES
    parse_playbook(whole.encode(), Path("example.yaml"))
    steps = f"version: 1\nname: g\nabout: a gate\nsteps:\n{gate}"
    parse_playbook(steps.encode(), Path("gate.yaml"))


@pytest.mark.parametrize("key", [*PlaybookSpec.model_fields, *StepSection.model_fields])
def test_every_key_is_named(key: str) -> None:
    assert f"`{key}`" in TEXT or f"{key}:" in TEXT

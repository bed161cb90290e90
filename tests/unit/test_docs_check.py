"""docs/check.md has every check as the registry holds it."""

from __future__ import annotations

from pathlib import Path

from pdctl.health.registry import REGISTRY

TEXT = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")


def test_every_check_is_in_the_document_with_its_severity_and_title() -> None:
    checks = [(each.id, each.severity, each.title) for each in REGISTRY.checks]
    checks += [(each.id, each.severity, each.title) for each in REGISTRY.fleet]
    checks += [(each.id, each.severity, each.title) for each in REGISTRY.traits]
    checks += [(each.id, each.severity, each.title) for each in REGISTRY.figures]
    rows = [f"| `{name}` | {severity.value} | {title} |" for name, severity, title in checks]
    assert [row for row in rows if row not in TEXT] == []


def test_every_check_on_request_is_named() -> None:
    assert [name for name in REGISTRY.ids() if f"`{name}`" not in TEXT] == []

"""The product's source as data: which files there are, and what each imports (lazily or not)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pdctl

PACKAGE = Path(pdctl.__file__).parent


@cache
def sources() -> tuple[Path, ...]:
    """Every Python file of the product."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


def on_node_programs() -> tuple[Path, ...]:
    """The files that are shipped to nodes and run there by whatever Python the node has."""
    return tuple(path for path in sources() if path.name.endswith("_on_node.py") or path.name == "registrar.py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name(path: Path) -> str:
    """For test ids and messages: the path below the package."""
    return str(path.relative_to(PACKAGE.parent))


def module(path: Path) -> str:
    """The dotted name under which a file is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def room(path: Path) -> str:
    """The first package below `pdctl`, or the module's name: `ssh`, `errors`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports anywhere in it. Relative imports are banned by ruff (TID)."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

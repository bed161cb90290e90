"""What may import what, where the import contracts of the linter do not reach: at run time, and on the nodes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import source_tree

SLOW = ("asyncssh", "textual", "httpx")  # each costs more than the whole of `pdctl --help` may
HEADLESS = ("bench", "cli", "control", "engines", "inventory", "model", "perf", "plan", "routers", "ssh", "supervisors")

# Newer than Python 3.6, and easily used without a thought.
NEW_MODULES = {"contextvars", "dataclasses", "graphlib", "importlib.metadata", "importlib.resources", "tomllib"}
NEW_NAMES = {
    "asyncio": {"create_task", "get_running_loop", "run", "timeout", "TaskGroup", "to_thread"},
    "functools": {"cache", "cached_property", "singledispatchmethod"},
    "math": {"dist", "isqrt", "prod"},
    "os": {"pidfd_open", "posix_spawn", "waitstatus_to_exitcode"},
    "shlex": {"join"},
    "signal": {"pidfd_send_signal", "raise_signal", "strsignal", "valid_signals"},
    "socket": {"create_server", "has_dualstack_ipv6"},
    "time": {"monotonic_ns", "perf_counter_ns", "time_ns"},
    "typing": {"Final", "Literal", "Protocol", "TypedDict"},
}
NEW_METHODS = {"removeprefix", "removesuffix"}
NEW_ARGUMENTS = {"capture_output", "missing_ok"}


def loaded_by(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after `code`."""
    report = "import json, sys; print('LOADED', json.dumps(sorted(sys.modules)), file=sys.__stderr__)"
    run = subprocess.run(
        [sys.executable, "-c", f"import atexit\n@atexit.register\ndef _():\n    {report}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    trouble, _, loaded = run.stderr.rpartition("LOADED ")
    assert run.returncode == 0, trouble
    return set(json.loads(loaded))


def ids(path: Path) -> str:
    return source_tree.name(path)


def test_help_is_cheap() -> None:
    loaded = loaded_by("import sys; sys.argv = ['pdctl', '--help']; from pdctl.cli.main import main; main()")
    assert "pdctl.cli.main" in loaded
    assert not loaded.intersection({*SLOW, "pydantic", "rich"})


def test_commands_that_check_nothing_load_no_checks() -> None:
    commands = ("status", "plan", "up", "down", "restart", "exec", "logs", "events")
    loaded = loaded_by(";".join(f"import pdctl.cli.commands.{name}" for name in commands))
    assert "pdctl.control.up" in loaded
    assert not {name for name in loaded if name.startswith(("pdctl.health", "pdctl.telemetry"))}


def test_probe_sees_what_is_loaded() -> None:
    assert loaded_by("import httpx") >= {"httpx"}


def test_headless_modules_load_no_textual() -> None:
    modules = [
        source_tree.module(path)
        for path in source_tree.sources()
        if source_tree.room(path) in HEADLESS and path.name != "__main__.py"
    ]
    loaded = loaded_by(f"import importlib\nfor name in {modules!r}: importlib.import_module(name)")
    assert loaded.issuperset(modules)
    assert "textual" not in loaded


@pytest.mark.parametrize(
    "module", ["pdctl.bench.load", "pdctl.cli.render", "pdctl.cli.render_text", "pdctl.model.load"]
)
def test_module_is_cheap_to_load(module: str) -> None:
    assert not loaded_by(f"import {module}").intersection({*SLOW, "rich.console"})


def test_simulation_is_started_never_imported() -> None:
    importers = [
        source_tree.name(path)
        for path in source_tree.sources()
        if source_tree.room(path) != "sim"
        and any(f"{item}.".startswith("pdctl.sim.") for item in source_tree.imports(path))
    ]
    assert importers == []


def test_simulation_imports_model_engines_and_perf_only() -> None:
    allowed = {"sim", "model", "engines", "perf", "errors"}
    strangers = [
        (source_tree.name(path), item)
        for path in source_tree.sources()
        if source_tree.room(path) == "sim"
        for item in source_tree.imports(path)
        if item.startswith("pdctl.") and item.split(".")[1] not in allowed
    ]
    assert strangers == []


def test_asyncssh_has_two_homes() -> None:
    homes = {
        source_tree.room(path)
        for path in source_tree.sources()
        if any(item.split(".")[0] == "asyncssh" for item in source_tree.imports(path))
    }
    assert homes == {"ssh", "sim"}


@pytest.mark.parametrize("path", source_tree.on_node_programs(), ids=ids)
def test_program_for_nodes_needs_the_standard_library_only(path: Path) -> None:
    """Such programs may import each other: the parts of one are joined before it is shipped."""
    parts = {source_tree.module(other) for other in source_tree.on_node_programs()}
    strangers = {
        item
        for item in source_tree.imports(path)
        if item.split(".")[0] not in sys.stdlib_module_names and item.rpartition(".")[0] not in parts
    }
    assert strangers == set()


@pytest.mark.parametrize("path", source_tree.on_node_programs(), ids=ids)
def test_program_for_nodes_runs_on_python_3_6(path: Path) -> None:
    """Enterprise distributions still ship 3.6. The grammar is checked as far as `ast` knows it, the library by name."""
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    assert newer_than_3_6(source_tree.tree(path)) == []


def newer_than_3_6(tree: ast.Module) -> list[str]:
    """Uses of names that Python 3.6 does not have, with their lines."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="__future__"):
                found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name == "annotations"]
            case ast.ImportFrom(module=str(module)):
                found += [
                    f"{node.lineno}: {module}.{alias.name}"
                    for alias in node.names
                    if module in NEW_MODULES or alias.name in NEW_NAMES.get(module, ())
                ]
            case ast.Import():
                found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name in NEW_MODULES]
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if attr in NEW_NAMES.get(module, ()):
                found.append(f"{node.lineno}: {module}.{attr}")
            case ast.Attribute(attr=attr) if attr in NEW_METHODS:
                found.append(f"{node.lineno}: .{attr}")
            case ast.keyword(arg=str(argument)) if argument in NEW_ARGUMENTS:
                found.append(f"{node.value.lineno}: {argument}=")
            case ast.NamedExpr():
                found.append(f"{node.lineno}: :=")
    return found


@pytest.mark.parametrize(
    "code",
    [
        "from __future__ import annotations",
        "import dataclasses",
        "from dataclasses import dataclass",
        "from typing import Protocol",
        "import shlex; shlex.join([])",
        "subprocess.run([], capture_output=True)",
        "'a'.removeprefix('b')",
        "(x := 1)",
    ],
)
def test_check_for_python_3_6_can_fail(code: str) -> None:
    assert newer_than_3_6(ast.parse(code))


def test_there_are_programs_for_nodes() -> None:
    assert "registrar.py" in {path.name for path in source_tree.on_node_programs()}

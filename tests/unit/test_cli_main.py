"""The command line as a whole: where options may stand, what errors look like, and with which code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdctl.cli.main import COMMANDS, main

INVENTORIES = Path(__file__).parents[2] / "inventories"
GOOD = str(INVENTORIES / "standard-tp8.yaml")
BAD = "version: 1\ncluster: UPPER\n"


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands in this process, in a directory of its own."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *argv: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(argv)
        printed = self.capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, printed.out, printed.err)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    for name in [name for name in os.environ if name.startswith("PDCTL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Shell(capsys)


def test_help_lists_every_command_with_a_word_about_it(shell: Shell) -> None:
    said = shell("--help")
    assert said.code == 0
    for name, about in COMMANDS.items():
        assert name in said.out and about.split(";")[0].split(",")[0] in said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_takes_the_global_options(shell: Shell, name: str) -> None:
    said = shell(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: pdctl {name}")
    assert all(option in said.out for option in ("--inventory", "--json", "--yes", "--read-only", "--verbose"))


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("stauts",), "did you mean `pdctl status`?"),
        (("zzz",), "`pdctl --help` lists the commands"),
    ],
)
def test_an_unknown_command_is_a_usage_error_with_the_nearest_name(
    shell: Shell, argv: tuple[str, ...], hint: str
) -> None:
    said = shell(*argv)
    assert said.code == 64
    assert hint in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "argv", [("status", "--bogus"), ("--bogus", "status"), ("restart",), ("render", "--generation", "x"), ("exec",)]
)
def test_a_wrong_option_or_a_missing_argument_is_a_usage_error(shell: Shell, argv: tuple[str, ...]) -> None:
    said = shell(*argv)
    assert said.code == 64
    assert said.err


@pytest.mark.parametrize(
    "argv",
    [
        ("-i", GOOD, "--json", "validate"),
        ("validate", "-i", GOOD, "--json"),
        ("--json", "validate", "-i", GOOD),
        ("validate", "--json", GOOD),
    ],
)
def test_global_options_may_stand_before_or_after_the_command(shell: Shell, argv: tuple[str, ...]) -> None:
    said = shell(*argv)
    assert (said.code, json.loads(said.out)["cluster"]) == (0, "standard-tp8")


def test_a_typed_inventory_wins_over_the_variable_and_that_over_the_default(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "inventory.yaml").write_text((INVENTORIES / "r1-2p3d.yaml").read_text())
    assert json.loads(shell("validate", "--json").out)["cluster"] == "r1-2p3d"
    monkeypatch.setenv("PDCTL_INVENTORY", str(INVENTORIES / "r1-1p4d.yaml"))
    assert json.loads(shell("validate", "--json").out)["cluster"] == "r1-1p4d"
    assert json.loads(shell("validate", "--json", "-i", GOOD).out)["cluster"] == "standard-tp8"
    assert json.loads(shell("-i", GOOD, "validate", "--json").out)["cluster"] == "standard-tp8"


def test_init_refuses_a_cluster_name_before_it_looks_at_any_host(shell: Shell, tmp_path: Path) -> None:
    said = shell("init", "--cluster", "Prod_1", "192.0.2.1")
    assert (said.code, "Prod_1" in said.err, "hint: " in said.err) == (64, True, True)
    assert not (tmp_path / "inventory.yaml").exists()


@pytest.mark.parametrize("command", ["validate", "render", "plan", "up", "status", "down", "trust"])
def test_a_missing_inventory_is_told_with_its_name(shell: Shell, command: str) -> None:
    said = shell(command)
    assert said.code == 65
    assert "inventory.yaml" in said.err
    assert "hint: " in said.err


def test_an_error_goes_to_stderr_as_text_and_to_stdout_as_the_last_json_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(BAD)
    text = shell("up")
    assert (text.code, text.out) == (65, "")
    assert text.err.startswith("pdctl: ")
    machine = shell("up", "--json")
    assert (machine.code, machine.err) == (65, "")
    event = json.loads(machine.out.splitlines()[-1])
    assert (event["event"], event["exit_code"]) == ("error", 65)
    assert any(problem["where"] == "cluster" and problem["line"] == 2 for problem in event["problems"])


@pytest.mark.parametrize(
    ("argv", "event", "cluster"),
    [
        (("validate", GOOD), "valid", "standard-tp8"),
        (("render", "-i", GOOD), "render", "standard-tp8"),
        (("validate", "missing.yaml"), "error", ""),
        (("status", "-i", "missing.yaml"), "error", ""),
        (("status", "--bogus"), "error", ""),
        (("exec", "--bogus", "ls"), "error", ""),
        (("stauts",), "error", ""),
    ],
)
def test_every_json_line_carries_the_same_envelope(
    shell: Shell, argv: tuple[str, ...], event: str, cluster: str
) -> None:
    said = shell("--json", *argv)
    (line,) = [json.loads(text) for text in said.out.splitlines()]
    assert list(line)[:5] == ["schema", "ts", "run", "cluster", "event"]
    assert (line["schema"], line["event"], line["cluster"]) == (1, event, cluster)
    assert line["run"] and line["ts"] > 0
    assert said.err == ""


def test_what_stands_behind_the_command_of_exec_is_the_nodes_and_not_ours(shell: Shell) -> None:
    said = shell("exec", "-i", "missing.yaml", "--", "ls", "--json", "-v")
    assert (said.code, said.out) == (65, "")
    assert said.err.startswith("pdctl: ") and "Traceback" not in said.err


@pytest.mark.parametrize("place", [("-v", "status"), ("status", "-v"), ("status", "--verbose")])
def test_verbose_adds_the_traceback_to_an_error(shell: Shell, place: tuple[str, ...]) -> None:
    assert "Traceback" in shell(*place).err
    assert "Traceback" not in shell("status").err


def test_several_files_are_validated_in_one_run(shell: Shell, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD)
    said = shell("validate", GOOD, str(bad))
    assert said.code == 65
    assert f"{GOOD}: valid" in said.out
    assert str(bad) in said.err


@pytest.mark.parametrize("option", ["--read-only", None])
def test_read_only_refuses_by_option_and_by_variable(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, option: str | None
) -> None:
    if option is None:
        monkeypatch.setenv("PDCTL_READ_ONLY", "1")
    said = shell(*([option] if option else []), "-i", GOOD, "down")
    assert said.code == 64
    assert "changes the cluster" in said.err


def test_the_schema_is_json(shell: Shell) -> None:
    assert "properties" in json.loads(shell("schema").out)


def test_render_prints_commands_that_a_shell_would_take_and_exactly_what_json_says(shell: Shell) -> None:
    text = shell("render", "-i", GOOD)
    launches = json.loads(shell("render", "-i", GOOD, "--json").out)["launches"]
    assert text.code == 0
    argv = launches[0]["processes"][0]["argv"]
    assert argv[0] in text.out and "--port" in text.out
    limited = shell("render", "-i", str(INVENTORIES / "r1-2p3d.yaml"), "@prefill", "--json")
    assert {launch["instance"]["pool"] for launch in json.loads(limited.out)["launches"]} == {"prefill"}


def test_a_selector_that_names_nothing_is_a_usage_error(shell: Shell) -> None:
    said = shell("render", "-i", GOOD, "no-such-node")
    assert said.code == 64
    assert "no-such-node" in said.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", "from pdctl.cli.main import main; main(['schema'])"],
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as pdctl:
        os.close(writing)
        os.close(reading)  # nobody reads: the first write fails
        assert pdctl.stderr is not None
        said = pdctl.stderr.read()
    assert (pdctl.returncode, said) == (0, b"")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("watch", "--fence"), "--fence acts on what canaries find"),
        (("--read-only", "watch", "--canary", "--fence"), "`watch --fence` changes the cluster"),
    ],
)
def test_watch_fences_only_on_what_canaries_find_and_never_in_a_session_that_changes_nothing(
    shell: Shell, argv: tuple[str, ...], why: str
) -> None:
    said = shell(*argv, "-i", GOOD)
    assert said.code == 64
    assert why in said.err

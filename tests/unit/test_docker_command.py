"""The command line of `docker run` and the files that it reads, as text."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.supervisors.docker_command_on_node import (
    container_labels,
    env_lines,
    mount_option,
    read_secrets,
    run_command,
    secret_lines,
)
from pdctl.supervisors.node_state_on_node import Refusal

LABELS = {
    "cluster": "prod", "instance": "n1.all.0", "generation": 7, "spec_hash": "abc", "kind": "engine", "pool": "decode",
    "role": "decode", "gpus": [0, 1],
}  # fmt: skip
PLACE: dict[str, Any] = {
    "argv": ["vllm", "serve", "/models/m; rm -rf /", "--x=$(id)"],
    "labels": container_labels(LABELS, {"boot_id": "b"}),
    "env_file": "/s/env",
    "secrets": False,
    "devices": ["/dev/kfd"],
    "groups": [44],
    "mounts": [("/models/m", "/models/m", False), ("/jit", "/opt/vllm_cache", True)],
}


def request(**changed: object) -> dict[str, Any]:
    return {
        "labels": LABELS, "restart": "never", "stop_s": 90.2, "log_cap_bytes": 64 << 20, "image": "rocm/vllm:1",
        **changed,
    }  # fmt: skip


def test_the_command_line_of_an_engine() -> None:
    assert run_command("pdctl.prod.n1.all.0", request(), PLACE) == [
        "run", "--detach", "--pull=never", "--name=pdctl.prod.n1.all.0",
        "--label=pdctl.boot_id=b", "--label=pdctl.cluster=prod", "--label=pdctl.generation=7", "--label=pdctl.gpus=0,1",
        "--label=pdctl.instance=n1.all.0", "--label=pdctl.kind=engine", "--label=pdctl.pool=decode",
        "--label=pdctl.role=decode", "--label=pdctl.spec_hash=abc",
        "--network=host", "--ipc=host", "--init", "--restart=no", "--stop-signal=SIGTERM", "--stop-timeout=91",
        "--log-driver=json-file", "--log-opt=max-size=33554432", "--log-opt=max-file=2", "--env-file=/s/env",
        "--cap-add=IPC_LOCK", "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined", "--ulimit=memlock=-1:-1",
        "--ulimit=nofile=1048576:1048576", "--ulimit=stack=67108864:67108864", "--pids-limit=-1",
        "--device=/dev/kfd", "--group-add=44",
        "--mount=type=bind,source=/models/m,target=/models/m,readonly",
        "--mount=type=bind,source=/jit,target=/opt/vllm_cache",
        "--entrypoint=vllm", "--", "rocm/vllm:1", "serve", "/models/m; rm -rf /", "--x=$(id)",
    ]  # fmt: skip


def test_a_router_is_restarted_and_gets_no_powers() -> None:
    words = run_command("u", request(labels={**LABELS, "kind": "router"}, restart="always"), PLACE)
    assert "--restart=unless-stopped" in words
    assert not [word for word in words if word.startswith(("--cap-add", "--security-opt", "--ulimit"))]


def test_an_image_cannot_be_an_option_and_its_own_entry_point_never_runs() -> None:
    words = run_command("u", request(image="--privileged"), PLACE)
    assert words[words.index("--") + 1] == "--privileged"
    assert "--entrypoint=vllm" in words[: words.index("--")]


def test_with_secrets_the_container_reads_them_first() -> None:
    words = run_command("u", request(), {**PLACE, "secrets": True})
    assert words[-7:] == ["--", "rocm/vllm:1", "/run/pdctl/exec.sh", "vllm", *PLACE["argv"][1:]]
    assert words[-8] == "--entrypoint=/bin/sh"


@pytest.mark.parametrize("path", ["/a,readonly", '/a"b', "/a\nb"])
def test_a_path_that_would_be_read_as_an_option_of_a_mount_is_refused(path: str) -> None:
    with pytest.raises(Refusal):
        mount_option(path, "/t", writable=False)


def test_environment_values_are_taken_as_they_are() -> None:
    assert env_lines({"B": '{"a": "#1"}', "A": " x  "}) == 'A= x  \nB={"a": "#1"}\n'


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", ""])
def test_a_name_that_no_shell_takes_is_refused(name: str) -> None:
    for render in (env_lines, secret_lines):
        with pytest.raises(Refusal, match=re.escape(repr(name))):
            render({name: "x"})


@pytest.mark.parametrize("value", ["poison\nB=1", "poison\r", "poison\0", "poison\udc80"])
def test_a_value_that_is_not_one_line_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(Refusal, match="the value of A") as caught:
        env_lines({"A": value})
    assert "poison" not in f"{caught.value}{caught.value.hint}"


@settings(deadline=None, max_examples=40)  # each is a process
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_a_secret_comes_through_a_shell_as_it_is(value: str) -> None:
    script = secret_lines({"SECRET": value}) + 'printf %s. "$SECRET"'
    ran = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=True)
    assert ran.stdout == f"{value}.".encode()


def test_an_engines_secrets_are_forgotten_and_those_of_what_restarts_are_not() -> None:
    assert "rm -f /run/pdctl/env" in read_secrets("never")
    assert "rm " not in read_secrets("always")

"""A host from an envelope: settings, limits, file systems, the model, the clock against the controller's."""

from __future__ import annotations

from typing import TypeVar

import pytest

from pdctl.health.envelope import Item
from pdctl.health.host_facts import clock_offset, host_facts
from pdctl.health.outputs import absent, output
from pdctl.health.parse.limits import UNLIMITED
from pdctl.model.reading import Known, Reading, Unknown
from tests.unit.health_nodes import WALL_S, changed, healthy

T = TypeVar("T")


def known(reading: Reading[T]) -> T:
    assert isinstance(reading, Known), reading
    return reading.value


def test_a_healthy_host() -> None:
    facts = host_facts(healthy())
    assert (known(facts.numa_balancing), known(facts.locked_memory)) == (0, UNLIMITED)
    assert known(facts.cmdline)["iommu"] == "pt"
    assert known(facts.governors) == ("performance",)
    assert known(facts.file_systems.of("/dev/shm")).size_bytes > 1 << 30
    assert known(facts.file_systems.of("/var/lib/docker")).mount == "/var"
    assert [listener.port for listener in known(facts.listeners)] == [22]
    assert known(facts.failed_units) == ()
    assert known(facts.bench) == ()
    assert known(known(facts.clock).synchronized) is True


def test_faults_of_a_host() -> None:
    limits = healthy().files["/proc/self/limits"].text
    line = next(line for line in limits.splitlines() if line.startswith("Max locked memory"))
    faults = {
        "/proc/sys/kernel/numa_balancing": "1\n",
        "/proc/self/limits": limits.replace(
            line, "Max locked memory         65536                65536                bytes"
        ),
    }
    facts = host_facts(changed(healthy(), files=faults))
    assert (known(facts.numa_balancing), known(facts.locked_memory)) == (1, 64 << 10)


def test_the_clock_is_known_to_the_time_that_asking_took() -> None:
    offset = known(clock_offset(healthy()))
    assert offset.low_s == pytest.approx(-0.1, abs=1e-6)
    assert offset.high_s == pytest.approx(0.2, abs=1e-6)
    late = healthy().model_copy(update={"wall_s": WALL_S + 30})
    assert known(clock_offset(late)).low_s == pytest.approx(29.9, abs=1e-6)
    assert isinstance(clock_offset(healthy().model_copy(update={"asked_s": None})), Unknown)


def test_the_model_on_the_node() -> None:
    stat = "/models/r1 4096 directory\n/models/r1/config.json 1700 regular file\n"
    sums = f"{'a' * 64}  /models/r1/config.json\n{'b' * 64}  /models/r1/model.safetensors.index.json\n"
    facts = host_facts(changed(healthy(), outputs={"model.stat": stat, "model.sha256": sums}))
    assert known(facts.model.configured) is True
    assert known(facts.model.digest) == f"config.json {'a' * 16} model.safetensors.index.json {'b' * 16}"
    gone = Item(argv=("stat",), status=1, stderr="stat: cannot statx '/models/r1': No such file or directory")
    items = {**healthy().items, "model.stat": gone}
    assert known(host_facts(healthy().model_copy(update={"items": items})).model.configured) is False
    hung = {**healthy().items, "model.stat": Item(argv=("stat",), timed_out=True, seconds=10.0)}
    assert isinstance(host_facts(healthy().model_copy(update={"items": hung})).model.configured, Unknown)


def test_an_images_id_is_its_digest() -> None:
    text = f'sha256:{"c" * 64} ["rocm/vllm@sha256:{"d" * 64}"]\n'
    assert known(host_facts(changed(healthy(), outputs={"docker.image": text})).image) == f"sha256:{'c' * 64}"
    assert isinstance(host_facts(changed(healthy(), outputs={"docker.image": "N/A\n"})).image, Unknown)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item(argv=("x",), refused="not found"), "not found"),
        (Item(argv=("x",), timed_out=True, seconds=10.0), "did not answer in 10 s"),
        (Item(argv=("x",), status=0, stdout=""), "printed nothing (status 0)"),
        (Item(argv=("x",), status=1, stderr="permission denied\n"), "permission denied"),
        (Item(argv=("x",), status=0, stdout="half", truncated=True), "longer than what is kept"),
    ],
)
def test_why_an_item_says_nothing(item: Item, reason: str) -> None:
    reading = output(healthy().model_copy(update={"items": {"x": item}}), "x")
    assert isinstance(reading, Unknown)
    assert reason in reading.reason


def test_a_tool_that_hangs_is_not_absent() -> None:
    envelope = healthy().model_copy(
        update={"items": {"x": Item(argv=("x",), timed_out=True), "y": Item(argv=("y",), refused="not found")}}
    )
    assert not absent(envelope, "x")
    assert absent(envelope, "y")
    assert absent(envelope, "z")


def test_lists_that_may_be_empty_are_unknown_where_the_tool_failed() -> None:
    facts = host_facts(changed(healthy(), outputs={"pgrep.bench": "123\n456\n", "systemctl.failed": None}))
    assert known(facts.bench) == (123, 456)
    assert isinstance(facts.failed_units, Unknown)

"""The shipped inventories: each is valid and amounts to the deployment that its source published."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from pdctl.inventory.load import load, parse
from pdctl.inventory.place import place
from pdctl.inventory.schema import schema_json
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.role import Connector, Role, TransferMode

SHIPPED = Path(__file__).parents[2] / "inventories"


def placed(name: str) -> Deployment:
    return place(load(SHIPPED / f"{name}.yaml"), home=Path("/home/op"), login="op")


def said(instance: Instance) -> str:
    """`P tp4dp1 mi300x-01.a.0[0123]` and so on, a part after the other."""
    shape = f"{instance.role.letter} tp{instance.parallel.tp}dp{instance.parallel.dp}"
    parts = " ".join(f"{part.name}[{''.join(map(str, part.gpus))}]" for part in instance.parts)
    return f"{shape} {parts}"


R1 = "tp1dp8 mi300x-0{}.main.0[01234567]"
EXPECTED: dict[str, list[str]] = {
    "standard-tp8": ["M tp8dp1 mi300x-01.main.0[01234567]"],
    "standard-2xtp4": ["M tp4dp1 mi300x-01.main.0[0123]", "M tp4dp1 mi300x-01.main.1[4567]"],
    "mori-1p1d-read": ["P tp4dp1 mi300x-01.a.0[0123]", "D tp4dp1 mi300x-01.b.0[4567]"],
    "mori-1p1d-write": ["P tp4dp1 mi300x-01.a.0[0123]", "D tp4dp1 mi300x-01.b.0[4567]"],
    "r1-colocated": [f"M {R1}".format(i) for i in range(1, 6)],
    "r1-2p3d": [f"{'PPDDD'[i - 1]} {R1}".format(i) for i in range(1, 6)],
    "r1-1p4d": [f"{'PDDDD'[i - 1]} {R1}".format(i) for i in range(1, 6)],
    "gpt-oss-8p4d": [
        *(f"P tp1dp1 mi300x-01.main.{i}[{i}]" for i in range(8)),
        *(f"D tp2dp1 mi300x-02.main.{i}[{2 * i}{2 * i + 1}]" for i in range(4)),
    ],
    "wide-ep16": [
        "P tp4dp1 prefill-1.main.0[0123]",
        "D tp1dp16 " + " ".join(f"wide-{i}.main.0[0123]" for i in range(1, 5)),
    ],
    "cpu-1p2d": [f"{'PDD'[i - 1]} tp1dp1 n{i}.main.0[0]" for i in range(1, 4)],
    "demo": [f"{'PPDDD'[i - 1]} tp8dp1 n{i}.main.0[01234567]" for i in range(1, 6)],
}


def test_every_shipped_inventory_is_expected_here() -> None:
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_shipped_inventory_holds_its_published_instances(name: str) -> None:
    deployment = placed(name)
    assert deployment.cluster == name
    assert [said(instance) for instance in deployment.instances] == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "mode"), [("mori-1p1d-read", TransferMode.READ), ("mori-1p1d-write", TransferMode.WRITE)]
)
def test_1p1d_has_the_flags_and_variables_of_the_published_commands(name: str, mode: TransferMode) -> None:
    deployment = placed(name)
    assert (deployment.kv.connector, deployment.kv.mode) == (Connector.MORIIO, mode)
    for pool in deployment.pools.values():
        assert pool.parallel.ep
        assert pool.env == {
            "VLLM_ROCM_USE_AITER": "1",
            "MORI_DISABLE_AUTO_XGMI": "1",
            "MORI_IO_ENABLE_NOTIFICATION": "0",
        }
        assert pool.args == {
            "max-num-batched-tokens": 4096,
            "distributed-executor-backend": "mp",
            "gpu-memory-utilization": 0.9,
            "max-model-len": 16384,
            "max-num-seqs": 64,
            "no-enable-prefix-caching": True,
        }


def test_standard_serving_has_the_flags_of_the_published_commands() -> None:
    (pool,) = placed("standard-2xtp4").pools.values()
    assert pool.role is Role.MIXED
    assert pool.env == {"VLLM_ROCM_USE_AITER": "1"}
    assert pool.args == {
        "max-model-len": 16384,
        "max-num-batched-tokens": 8192,
        "distributed-executor-backend": "mp",
        "no-enable-prefix-caching": True,
    }


def test_placement_resolves_defaults_paths_and_overrides() -> None:
    text = """\
version: 1
cluster: c
model: {name: org/m}
ssh: {identity: ~/.ssh/id, known_hosts: ./known_hosts, user: ops, port: 2022, connect_timeout: 500ms}
secrets: {A: {env: B}, C: {file: secrets/c}, D: {command: pass show d}}
engine: {version: "0.33", supervisor: process, python: /p, args: {a: 1, b: 2}, env: {X: "1", Y: "1"}}
kv: {connector: nixl}
router: {node: n1, python: /p}
pools:
  p: {role: prefill, args: {a: null, c: true}, env: {Y: 2}}
  d: {role: decode}
nodes:
  n1: {host: a, gpus: 2, slots: {x: {gpus: [1], pool: p}, spare: {gpus: [0]}}}
  n2: {host: b, data_address: 10.1.0.2, port: 23, gpus: 1, pool: d, ssh: {user: root, identity: /k, jump: j}}
"""
    content = text.encode()
    deployment = place(parse(content, Path("/inv/i.yaml")), home=Path("/home/op"), login="op")
    one, two = deployment.nodes.values()
    assert (one.ssh.user, one.ssh.identity, one.ssh.known_hosts) == ("ops", "/home/op/.ssh/id", "/inv/known_hosts")
    assert (two.ssh.user, two.ssh.identity, two.ssh.jump, two.ssh.connect_timeout_s) == ("root", "/k", "j", 0.5)
    assert (one.port, two.port, one.data_address, two.data_address) == (2022, 23, "a", "10.1.0.2")
    assert deployment.pools["p"].args == {"b": 2, "c": True}
    assert deployment.pools["p"].env == {"X": "1", "Y": "2"}
    assert [(secret.source, secret.argument) for secret in deployment.secrets] == [
        ("env", "B"),
        ("file", "/inv/secrets/c"),
        ("command", "pass show d"),
    ]
    assert (deployment.lease_node, deployment.model.path) == ("n1", "org/m")
    assert [slot.id for slot in deployment.slots] == ["n1.x", "n1.spare", "n2.main"]
    assert [instance.name for instance in deployment.instances] == ["n1.x.0", "n2.main.0"]
    assert deployment.digest == hashlib.sha256(content).hexdigest()
    assert deployment.source == "/inv/i.yaml"


def test_the_login_is_the_operators_own_where_none_is_written() -> None:
    text = (SHIPPED / "demo.yaml").read_text().replace("ssh: {user: demo}\n", "")
    deployment = place(parse(text.encode(), Path("/i.yaml")), login="op")
    assert {node.ssh.user for node in deployment.nodes.values()} == {"op"}


def test_a_thousand_nodes_load_and_place() -> None:
    base, nodes = (SHIPPED / "r1-2p3d.yaml").read_text().split("nodes:\n")
    pools = ("prefill", "decode", "decode")
    many = "".join(f"  n{i:04}: {{host: h{i}, gpus: 8, pool: {pools[i % 3]}}}\n" for i in range(1023))
    deployment = place(parse((base + "nodes:\n" + nodes.splitlines()[0] + "\n" + many).encode(), Path("/i.yaml")))
    assert len(deployment.instances) == 1024


def test_every_field_of_the_schema_is_described() -> None:
    schema = schema_json()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["title"] == "pdctl inventory"
    for name, definition in {"inventory": schema, **schema["$defs"]}.items():
        for key, field in definition.get("properties", {}).items():
            target = schema["$defs"].get(field.get("$ref", "").rsplit("/", 1)[-1], {})
            assert field.get("description") or target.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("name", EXPECTED)
def test_the_schema_accepts_the_shipped_inventories(name: str) -> None:
    inventory = load(SHIPPED / f"{name}.yaml")
    schema = schema_json()
    assert list(violations(inventory.document.data, schema, schema, "")) == []


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    schema = schema_json()
    data = load(SHIPPED / "r1-2p3d.yaml").document.data
    assert isinstance(data, dict)
    data["pools"]["prefill"]["role"] = "prefil"
    data["slo"]["ttft"] = "soon"
    data["colour"] = "red"
    data["pools"]["Mine"] = {"role": "mixed"}
    wrong = [".colour", ".pools.Mine", ".pools.prefill.role", ".slo.ttft"]
    assert sorted(violations(data, schema, schema, "")) == wrong


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str) -> list[str]:
    """Where `value` breaks the part of JSON Schema that pydantic uses."""
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, where)
    if "anyOf" in schema:
        return [] if any(not violations(value, each, root, where) for each in schema["anyOf"]) else [where]
    kinds = schema.get("type", [])
    allowed = [kind for name in ([kinds] if isinstance(kinds, str) else kinds) for kind in _KINDS[name]]
    wrong_kind = bool(allowed) and (type(value) not in allowed)
    if wrong_kind or value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return [where]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return [where]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        found = [f"{where}.{key}" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            each = known.get(key) or next((patterns[text] for text in patterns if re.search(text, key)), None)
            if each is not None:
                found += violations(item, each, root, f"{where}.{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{where}.{key}")
        return found
    return []

"""One row for each bad configuration: what is changed in a good inventory, and exactly what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.inventory.load import parse
from pdctl.inventory.problems import InvalidInventory

GOOD = """\
version: 1
cluster: c
model: {name: m, path: /m}
ssh: {user: ops}
engine:
  version: "0.33"
  supervisor: systemd
  python: /opt/vllm/bin/python
  env: {}
  args: {}
kv: {connector: moriio, mode: write}
router: {node: n1, python: /opt/router/bin/python}
pools:
  prefill: {role: prefill, parallel: {tp: 4}, args: {}}
  decode: {role: decode, parallel: {tp: 4}, args: {}}
nodes:
  n1: {host: 10.0.0.1, gpus: 8, pool: prefill}
  n2: {host: 10.0.0.2, gpus: 8, slots: {a: {gpus: 0-3, pool: decode}, b: {gpus: 4-7}}}
budgets: {}
"""

Row = tuple[str, str, str, str]  # what is replaced, by what, where it is complained about, the message

SCHEMA: list[Row] = [
    ("version: 1", "version: 2", "version", "must be 1, not 2"),
    ("cluster: c", "cluster: -c", "cluster", "must be 1 to 32 of a-z, 0-9 and -, not '-c'"),
    ("cluster: c\n", "cluster: no\n", "cluster", "must be 1 to 32 of a-z, 0-9 and -, not false"),
    ("cluster: c\n", "", "", "the key `cluster` is missing"),
    ("budgets: {}", "budget: {}", "budget", "unknown key"),
    ("name: m,", "", "model", "the key `name` is missing"),
    ("path: /m", "path: ~/m", "model.path", "'~/m' begins with ~, which nothing expands on the nodes"),
    ("{user: ops}", "{user: [ops]}", "ssh.user", "must be one line of text, not a list"),
    ("{user: ops}", "{port: 70000}", "ssh.port", "must be at most 65535, not 70000"),
    ("{user: ops}", "{agent: 1}", "ssh.agent", "must be true or false, not 1"),
    ("{user: ops}", "{keepalive: 5x}", "ssh.keepalive", "unknown unit of time 'x'"),
    ("{user: ops}", "{keepalive: 0}", "ssh.keepalive", "must be longer than 0 and at most a year, not 0"),
    ("{user: ops}", "ops", "ssh", "must be a mapping of keys to values, not 'ops'"),
    ("{user: ops}", "{engine_http: tunnel}", "ssh.engine_http", "must be ssh or direct, not 'tunnel'"),
    (
        "supervisor: systemd",
        "supervisor: systmd",
        "engine.supervisor",
        "must be systemd, docker or process, not 'systmd'",
    ),
    ('"0.33"', "0.33", "engine.version", "must be text: YAML reads a bare 0.30 as 0.3"),
    ('"0.33"', '"0.33rc1"', "engine.version", "must be a release such as \"0.33\", not '0.33rc1'"),
    ("  env: {}", "  env: {A-B: x}", "engine.env.A-B", "'A-B' is not an environment variable's name"),
    ("  env: {}", "  env: {A: 1.0}", "engine.env.A", "must be text, not 1.0"),
    ("  env: {}", '  env: {A: "x\\ny"}', "engine.env.A", "must be one line of printable text"),
    (
        "  args: {}",
        "  args: {--block-size: 16}",
        "engine.args.--block-size",
        "'--block-size' is not a flag's name: no dashes in front, - and not _ between words",
    ),
    (
        "  args: {}",
        "  args: {compilation-config: {level: 3}}",
        "engine.args.compilation-config",
        "must be text, a number, true, false or null, not a mapping",
    ),
    ("role: prefill,", "role: prefil,", "pools.prefill.role", "must be prefill, decode or mixed, not 'prefil'"),
    ("{tp: 4}, args: {}}\n  d", "{tp: 0}, args: {}}\n  d", "pools.prefill.parallel.tp", "must be at least 1, not 0"),
    ("host: 10.0.0.1", "host: 10.0.0.1:22", "nodes.n1.host", "must be a host without a port, not '10.0.0.1:22'"),
    ("host: 10.0.0.1", "host: ssh://a", "nodes.n1.host", "must be a host, not the URL 'ssh://a'"),
    ("host: 10.0.0.1,", "", "nodes.n1", "the key `host` is missing"),
    (
        "10.0.0.1,",
        '10.0.0.1, data_address: "fe80::1",',
        "nodes.n1.data_address",
        "must be an IPv4 address or a host name, not 'fe80::1'",
    ),
    ("gpus: 8, pool", "gpus: true, pool", "nodes.n1.gpus", "must be a whole number, not true"),
    ("gpus: 0-3", "gpus: 3-0", "nodes.n2.slots.a.gpus", "the range 3-0 runs backwards"),
    ("gpus: 0-3", "gpus: 4", "nodes.n2.slots.a.gpus", "a bare 4 could be a GPU or a count of GPUs"),
    ("gpus: 0-3", "gpus: first", "nodes.n2.slots.a.gpus", "must name GPUs, not 'first'"),
    ("gpus: 0-3", "gpus: [a]", "nodes.n2.slots.a.gpus", "must be a list of GPU numbers, not ['a']"),
    ("  n2: {", "  N2: {", "nodes.N2", "must be 1 to 32 of a-z, 0-9 and -, not 'N2'"),
    ("  n2: {", "  n1: {", "nodes.n1", "said twice; the first is on line 17"),
    ("budgets: {}", "budgets: []", "budgets", "must be a mapping of keys to values, not a list"),
    ("budgets: {}", "slo: {attainment: 95}", "slo.attainment", "must be at most 1, not 95"),
]

NODES: list[Row] = [
    ("node: n1", "node: n3", "router.node", "there is no node 'n3'"),
    ("budgets: {}", "lease_node: n", "lease_node", "there is no node 'n'"),
    ("pool: prefill}", "pool: prefil}", "nodes.n1.pool", "there is no pool 'prefil'"),
    ("pool: decode}", "pool: x}", "nodes.n2.slots.a.pool", "there is no pool 'x'"),
    ("  n2: {", "  router: {", "nodes.router", "'router' is the name of a unit of ours"),
    (
        "gpus: 8, slots",
        "gpus: 8, pool: decode, slots",
        "nodes.n2.pool",
        "a node that is split into slots has no `pool` itself",
    ),
    ("gpus: 4-7", "gpus: 4-8", "nodes.n2.slots.b.gpus", "there is no GPU 8: n2 has 8"),
    ("gpus: 4-7", "gpus: 2-5", "nodes.n2.slots.b.gpus", "GPU 2, 3 of node n2 is already used by nodes.n2.slots.a"),
    ("gpus: 4-7", "gpus: [4, 4]", "nodes.n2.slots.b.gpus", "GPU 4 of node n2 is already used by this slot itself"),
    ("10.0.0.2", "10.0.0.1", "nodes.n2.host", "the SSH address 10.0.0.1:22 is also that of n1"),
    (
        "10.0.0.2",
        "10.0.0.2, data_address: 10.0.0.1",
        "nodes.n2.data_address",
        "the data address 10.0.0.1 is also that of n1",
    ),
    ("10.0.0.2", "10.0.0.1, port: 23", "nodes.n2.host", "the data address 10.0.0.1 is also that of n1"),
    ("10.0.0.2", "10.0.0.2, port: 23, ssh: {port: 24}", "nodes.n2.ssh.port", "the SSH port is said twice"),
]

SHAPES: list[Row] = [
    (
        "tp: 4}, args: {}}\n  d",
        "tp: 16}, args: {}}\n  d",
        "nodes.n1.gpus",
        "8 GPUs hold no whole number of instances: pool 'prefill' needs tp 16 x dp 1 = 16 for each",
    ),
    (
        "tp: 4}, args: {}}\nn",
        "tp: 4}, args: {}, min_instances: 2}\nn",
        "pools.decode.min_instances",
        "pool 'decode' has 1 instance and its floor is 2",
    ),
    ("role: decode", "role: prefill", "pools.prefill.role", "a prefill pool needs a decode pool"),
    ("role: prefill", "role: decode", "pools.prefill.role", "a decode pool needs a prefill pool"),
    (
        "role: decode",
        "role: mixed",
        "pools.decode.role",
        "one router serves prefill and decode pools, or mixed pools, not both",
    ),
    ("connector: moriio", "connector: none", "kv.connector", "prefill and decode pools need a KV connector"),
    ("router: {", "router: {kind: moriio-toy-proxy, ", "router.script", "the toy proxy needs `script`"),
    (
        "pool: prefill}",
        "pool: prefill, group: g}",
        "nodes.n1.group",
        "group 'g' must have one slot on each of several nodes",
    ),
    (
        "4-7}}}",
        "4-7}}}\n  n3: {host: h3, gpus: 2, pool: decode, group: g}\n  n4: {host: h4, gpus: 2, pool: prefill, group: g}",
        "nodes.n3.group",
        "group 'g' is in several pools: decode, prefill",
    ),
    (
        "4-7}}}",
        "4-7}}}\n  n3: {host: h3, gpus: 2, pool: decode, group: g}\n  n4: {host: h4, gpus: 4, pool: decode, group: g}",
        "nodes.n3.group",
        "group 'g' has slots of 2 and 4 GPUs",
    ),
    (
        "4-7}}}",
        "4-7}}}\n  n3: {host: h3, gpus: 4, pool: decode, group: g}\n  n4: {host: h4, gpus: 4, pool: decode, group: g}",
        "nodes.n3.group",
        "group 'g' has 8 GPUs and pool 'decode' needs tp 4 x dp 1 = 4 for each",
    ),
    (
        "4-7}}}",
        "4-7}}}\n  n3: {host: h3, gpus: 2, pool: decode, group: g}\n  n4: {host: h4, gpus: 2, pool: decode, group: g}",
        "nodes.n3.group",
        "group 'g': 2 GPUs a node hold no whole number of tp=4 ranks",
    ),
]

ENGINES: list[Row] = [
    (
        "supervisor: systemd\n",
        "supervisor: process\n  persist: true\n",
        "engine.persist",
        "only the supervisor systemd has `persist`, not process",
    ),
    (
        "supervisor: systemd\n",
        "supervisor: docker\n  image: i\n  user: vllm\n",
        "engine.user",
        "only the supervisor systemd has `user`, not docker",
    ),
    ("  args: {}", "  args: {}\n  user: 1000", "engine.user", "must be a user's name, not 1000"),
    ("  args: {}", "  args: {}\n  user: a b", "engine.user", "must be a user's name, not 'a b'"),
    ('"0.33"', '"0.16"', "engine.version", "vLLM 0.16 cannot drain: --shutdown-timeout came with 0.18"),
    ('"0.33"', '"0.19.1"', "engine.version", "MoRI-IO needs vLLM 0.21 or newer, not 0.19.1: its registration changed"),
    ("supervisor: systemd", "supervisor: docker", "engine.supervisor", "the supervisor docker needs `image`"),
    ("  python: /opt/vllm/bin/python\n", "", "engine.supervisor", "the supervisor systemd needs `python`"),
    (
        ", python: /opt/router",
        ", supervisor: process, script: /opt/router",
        "router.supervisor",
        "the supervisor process needs `python`",
    ),
    (
        "  args: {}",
        "  args: {tensor-parallel-size: 4}",
        "engine.args.tensor-parallel-size",
        "--tensor-parallel-size is set by pdctl: it is `parallel.tp` of the pool",
    ),
    (
        "  args: {}",
        "  args: {data-parallel-rank: 0}",
        "engine.args.data-parallel-rank",
        "--data-parallel-rank is set by pdctl: it follows from `parallel.dp` of the pool",
    ),
    (
        "  args: {}",
        "  args: {data-parallel-hybrid-lb: true}",
        "engine.args.data-parallel-hybrid-lb",
        "--data-parallel-hybrid-lb is set by pdctl: data parallel ranks are balanced by vLLM's internal load balancer; "
        "other modes are not supported",
    ),
    ("  args: {}", "  args: {api-key: abc}", "engine.args.api-key", "--api-key would show a secret in process lists"),
    (
        "router: {",
        "router: {args: {kv-connector: nixl}, ",
        "router.args.kv-connector",
        "--kv-connector is set by pdctl: it is `kv.connector`",
    ),
    ("budgets: {}", "budgets: {settle: 60}", "budgets.settle", "settle (60 s) must be shorter than shutdown (60 s)"),
    ("budgets: {}", "budgets: {stop: 1m}", "budgets.stop", "shutdown (60 s) must be shorter than stop (60 s)"),
    ("budgets: {}", "budgets: {drain: 1m}", "budgets.drain", "stop (90 s) must be shorter than drain (60 s)"),
    (
        "  env: {}",
        "  env: {HIP_VISIBLE_DEVICES: 0}",
        "engine.env.HIP_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES must not be set here: a slot's GPUs are set by pdctl",
    ),
    ("  env: {}", "  env: {HF_TOKEN: abc}", "engine.env.HF_TOKEN", "HF_TOKEN looks like a secret written out"),
    (
        "  env: {}\n  args: {}",
        "  env: {X: a}\n  args: {}\nsecrets: {X: {env: X}}",
        "engine.env.X",
        "X is also under `secrets`",
    ),
    ("budgets: {}", "secrets: {X: {}}", "secrets.X", "needs exactly one of env, file and command, and has none"),
    (
        "budgets: {}",
        "secrets: {X: {env: X, file: x}}",
        "secrets.X",
        "needs exactly one of env, file and command, and has env and file",
    ),
]

TRANSFER: list[Row] = [
    (
        "decode, parallel: {tp: 4}",
        "decode, parallel: {tp: 2, dp: 2}",
        "pools.decode.parallel",
        "MoRI-IO cannot have dp 2 with tp 2: rank ports are handshake_port + dp + tp and collide",
    ),
    (
        "decode, parallel: {tp: 4}, args: {}",
        "decode, parallel: {tp: 4}, args: {block-size: 64}",
        "pools.decode.args.block-size",
        "--block-size is not set in 'prefill' and 64 in 'decode'",
    ),
    (
        "  args: {}",
        "  args: {enable-sleep-mode: true}",
        "engine.args.enable-sleep-mode",
        "--enable-sleep-mode is refused: MoRI-IO's memory registrations do not survive sleep: vLLM refuses to start",
    ),
    (
        "  env: {}",
        "  env: {VLLM_MORIIO_CONNECTOR_READ_MODE: 1}",
        "engine.env.VLLM_MORIIO_CONNECTOR_READ_MODE",
        "VLLM_MORIIO_CONNECTOR_READ_MODE=1 contradicts kv.mode: write",
    ),
    (
        "  env: {}",
        "  env: {PYTORCH_HIP_ALLOC_CONF: 'expandable_segments: True'}",
        "engine.env.PYTORCH_HIP_ALLOC_CONF",
        "expandable_segments:True invalidates the KV registrations of MoRI-IO",
    ),
]


def complaints(text: str) -> list[tuple[str, str]]:
    try:
        parse(text.encode(), Path("inventory.yaml"))
    except InvalidInventory as error:
        return [(problem.where, problem.message) for problem in error.located]
    return []


def test_the_good_inventory_is_good() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(("old", "new", "where", "message"), SCHEMA + NODES + SHAPES + ENGINES + TRANSFER)
def test_a_bad_configuration_is_named(old: str, new: str, where: str, message: str) -> None:
    assert old in GOOD
    found = complaints(GOOD.replace(old, new, 1))
    assert found == [(where, message)]


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ("mode: write", "mode: read"),
        ("tp: 4}, args: {}}\nnodes", "tp: 2}, args: {}}\nnodes"),
        ("  args: {}", "  args: {enable-sleep-mode: false}"),
        ("  env: {}", "  env: {VLLM_MORIIO_CONNECTOR_READ_MODE: 0}"),
        ("  env: {}", "  env: {TOKENIZERS_PARALLELISM: 'true', TLS_KEY_FILE: /etc/key}"),
        ("10.0.0.2", "10.0.0.1, port: 23, data_address: 10.1.0.2"),
        ("pool: prefill}", "pool: prefill, host_id: box, ssh: {user: other}}"),
        ("  args: {}", "  args: &a {}\n  # an anchor, an alias and a merge\nslo: {<<: *a}"),
        ("connector: moriio", "connector: nixl"),
        ("  args: {}", "  args: {}\n  user: vllm\n  persist: true"),
    ],
)
def test_an_unusual_configuration_is_accepted(change: str, new: str) -> None:
    assert change in GOOD
    assert complaints(GOOD.replace(change, new, 1)) == []


def test_read_mode_with_different_tp_needs_replicated_kv_heads() -> None:
    text = GOOD.replace("mode: write", "mode: read").replace("decode, parallel: {tp: 4}", "decode, parallel: {tp: 2}")
    sizes = "tp 4 in 'prefill' and tp 2 in 'decode'"
    assert complaints(text) == [
        ("pools.decode.parallel", f"{sizes}: READ mode needs equal tp unless the model has MLA")
    ]
    assert complaints(text.replace("{name: m,", "{mla: true, name: m,")) == []


def test_write_mode_needs_tp_sizes_that_divide() -> None:
    text = GOOD.replace("decode, parallel: {tp: 4}", "decode, parallel: {tp: 3}").replace("0-3", "0-2")
    message = "tp 4 in 'prefill' and tp 3 in 'decode': one must be a multiple of the other"
    assert complaints(text) == [("pools.decode.parallel", message)]


def test_entries_that_share_a_machine_share_its_gpus() -> None:
    shared = GOOD.replace("host: 10.0.0.1,", "host: 10.0.0.1, host_id: box,").replace(
        "host: 10.0.0.2,", "host: 10.0.0.1, host_id: box,"
    )
    message = "GPU 0, 1, 2, 3 of host_id box is already used by nodes.n1"
    assert ("nodes.n2.slots.a.gpus", message) in complaints(shared)


def test_a_mistake_does_not_bring_its_consequences() -> None:
    """A pool whose role cannot be read is not also reported as missing."""
    assert complaints(GOOD.replace("role: decode", "role: decoder")) == [
        ("pools.decode.role", "must be prefill, decode or mixed, not 'decoder'")
    ]
    assert complaints(GOOD.replace(" slots:", " slot:")) == [("nodes.n2.slot", "unknown key")]


def test_a_group_cannot_start_by_itself_after_a_reboot() -> None:
    text = GOOD.replace("  args: {}", "  args: {}\n  persist: true", 1)
    grouped = text.replace("gpus: 8, pool: prefill}", "gpus: 2, pool: prefill, group: g}").replace(
        "budgets: {}", "  n3: {host: 10.0.0.3, gpus: 2, pool: prefill, group: g}"
    )
    message = "an instance of several nodes cannot start by itself after a reboot"
    assert {("nodes.n1.group", message), ("nodes.n3.group", message)} <= set(complaints(grouped))
    assert message not in str(complaints(grouped.replace("  persist: true", "")))


def test_mixed_pools_transfer_nothing() -> None:
    text = GOOD.replace("role: prefill", "role: mixed").replace("role: decode", "role: mixed")
    assert complaints(text) == [("kv.connector", "mixed pools transfer no KV")]
    assert complaints(text.replace("connector: moriio", "connector: none")) == []


def test_decode_bench_is_for_mixed_pools() -> None:
    text = GOOD.replace("connector: moriio", "connector: decode-bench")
    message = "decode-bench measures decode alone and moves no KV: what its engines answer means nothing"
    assert complaints(text) == [("kv.connector", message)]
    assert complaints(text.replace("role: prefill", "role: mixed").replace("role: decode", "role: mixed")) == []


def test_the_toy_proxy_speaks_moriio_only() -> None:
    text = GOOD.replace("router: {", "router: {kind: moriio-toy-proxy, script: /p.py, ")
    assert complaints(text) == []
    assert complaints(text.replace("connector: moriio", "connector: nixl")) == [
        ("router.kind", "the toy proxy serves MoRI-IO only, and the KV connector is nixl")
    ]

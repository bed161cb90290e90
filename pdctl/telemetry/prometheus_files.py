"""What a Prometheus needs to know of a cluster: scrape config, targets, recording rules, alert rules, a dashboard.

Pure: text out. Rules record the figures that `pdctl watch` shows, under names made of the snapshot's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from pdctl.telemetry.alerts import OWN_TOKENS
from pdctl.telemetry.instance import HUNG_AFTER_S, Expected
from pdctl.telemetry.prometheus import CLUSTER_LABEL, INSTANCE_LABEL, NODE_LABEL

_BY: Final = f"{CLUSTER_LABEL}, pdctl_pool, pdctl_role"
_WINDOW_S: Final = 60.0
_SCRAPES: Final = 4
"""A rate needs two scrapes; a window of four still has two where one was lost."""


@dataclass(frozen=True, slots=True)
class Target:
    """One engine to scrape, at host:port."""

    expected: Expected
    address: str


def scrape_config(cluster: str, targets_file: str, interval_s: float, names: Iterable[str]) -> str:
    """`prometheus.yml`'s job for this cluster; everything else that engines print is dropped."""
    job = {
        "job_name": f"pdctl-{cluster}",
        "scrape_interval": f"{interval_s:g}s",
        "scrape_timeout": f"{interval_s:g}s",
        "file_sd_configs": [{"files": [targets_file], "refresh_interval": "5s"}],
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "|".join(sorted(names)), "action": "keep"}],
    }
    return _yaml({"scrape_configs": [job]})


def targets(cluster: str, engines: Iterable[Target]) -> str:
    """The file of `file_sd_configs`; ports are new with every generation, so it is written again after each change."""
    return (
        json.dumps(
            [
                {
                    "targets": [target.address],
                    "labels": {
                        CLUSTER_LABEL: cluster,
                        INSTANCE_LABEL: target.expected.name,
                        NODE_LABEL: target.expected.node,
                        "pdctl_slot": target.expected.slot,
                        "pdctl_pool": target.expected.pool,
                        "pdctl_role": target.expected.role.value,
                        "pdctl_generation": str(target.expected.generation),
                    },
                }
                for target in engines
            ],
            indent=2,
        )
        + "\n"
    )


RECORDED: Final[Mapping[str, str]] = {
    "load_running": "sum by ({by}) (vllm:num_requests_running{{{of}}})",
    "load_waiting": "sum by ({by}) (vllm:num_requests_waiting{{{of}}})",
    "load_kv_usage": "max by ({by}) (vllm:kv_cache_usage_perc{{{of}}})",
    "flow_tokens_in": "sum by ({by}) (rate(vllm:prompt_tokens_total{{{of}}}[{window}]))",
    "flow_tokens_out": "sum by ({by}) (rate(vllm:generation_tokens_total{{{of}}}[{window}]))",
    "flow_requests": "sum by ({by}) (rate(vllm:request_success_total{{{of}}}[{window}]))",
    "flow_preemptions": "sum by ({by}) (rate(vllm:num_preemptions_total{{{of}}}[{window}]))",
    "kv_local_compute": (
        'sum by ({by}) (rate(vllm:prompt_tokens_by_source_total{{{of},source="local_compute"}}[{window}]))'
    ),
    "kv_external": (
        'sum by ({by}) (rate(vllm:prompt_tokens_by_source_total{{{of},source="external_kv_transfer"}}[{window}]))'
    ),
}
_LATENCIES: Final[Mapping[str, str]] = {
    "ttft": "vllm:time_to_first_token_seconds",
    "itl": "vllm:inter_token_latency_seconds",
    "tpot": "vllm:request_time_per_output_token_seconds",
    "queue": "vllm:request_queue_time_seconds",
    "prefill": "vllm:request_prefill_time_seconds",
    "decode": "vllm:request_decode_time_seconds",
    "e2e": "vllm:e2e_request_latency_seconds",
}


def recording_rules(cluster: str, interval_s: float) -> str:
    """A rule group that records pool figures as `pdctl:pool_<figure>`, over a minute, or four scrapes if they are
    longer."""
    window = _window(_WINDOW_S, interval_s)
    return _yaml({"groups": [{"name": f"pdctl-{cluster}", "rules": _recorded(cluster, window)}]})


def _window(shortest_s: float, interval_s: float) -> str:
    return f"{max(shortest_s, _SCRAPES * interval_s):.0f}s"


def _recorded(cluster: str, window: str) -> list[dict[str, str]]:
    of = f'{CLUSTER_LABEL}="{cluster}"'
    rules = [
        {"record": f"pdctl:pool_{name}", "expr": expression.format(by=_BY, of=of, window=window)}
        for name, expression in RECORDED.items()
    ]
    for name, family in _LATENCIES.items():
        total, count = (f"sum by ({_BY}) (rate({family}_{part}{{{of}}}[{window}]))" for part in ("sum", "count"))
        rules.append({"record": f"pdctl:pool_{name}_mean", "expr": f"{total} / {count}"})
        buckets = f"sum by ({_BY}, le) (rate({family}_bucket{{{of}}}[{window}]))"
        rules += [
            {"record": f"pdctl:pool_{name}_p{share:.0f}", "expr": f"histogram_quantile({share / 100:g}, {buckets})"}
            for share in (50, 90, 99)
        ]
    return rules


def alert_rules(cluster: str, ttft_s: float, itl_s: float, interval_s: float) -> str:
    """The alerts of `pdctl watch` that Prometheus can judge, with the same causes and hints."""
    of = f'{CLUSTER_LABEL}="{cluster}"'
    here = "{{ $labels.pdctl_instance }}"
    hung = _window(HUNG_AFTER_S, interval_s)
    rules = [
        _alert("PdctlEngineSilent", f"up{{{of}}} == 0", "10s", "warn", f"{here} does not answer", "`pdctl status`"),
        _alert(
            "PdctlEngineHung",
            f"vllm:num_requests_running{{{of}}} > 0 and rate(vllm:iteration_tokens_total_count{{{of}}}[{hung}]) == 0",
            "0s",
            "page",
            f"{here} has work in hand and takes no engine step",
            f"`pdctl logs {here}`, then `pdctl restart {here}`",
        ),
        _alert(
            "PdctlDecodeRecomputes",
            f'pdctl:pool_kv_local_compute{{{of},pdctl_role="decode"}} > {OWN_TOKENS:g} * sum by ({_BY}) '
            f"(rate(vllm:time_to_first_token_seconds_count{{{of}}}[{_window(_WINDOW_S, interval_s)}]))",
            "10s",
            "warn",
            "decode computes prompt tokens itself: their KV did not come",
            "`pdctl canary`",
        ),
        _alert(
            "PdctlTtftSlow",
            f'pdctl:pool_ttft_p99{{{of},pdctl_role="decode"}} > {ttft_s:g}',
            "5m",
            "warn",
            f"decode's TTFT p99 is over {ttft_s:g} s",
            "`pdctl watch` says which side holds the cluster back",
        ),
        _alert(
            "PdctlItlSlow",
            f'pdctl:pool_itl_p99{{{of},pdctl_role="decode"}} > {itl_s:g}',
            "5m",
            "warn",
            f"decode's ITL p99 is over {itl_s * 1e3:g} ms",
            "`pdctl watch` says which side holds the cluster back",
        ),
    ]
    return _yaml({"groups": [{"name": f"pdctl-{cluster}-alerts", "rules": rules}]})


def _alert(name: str, expression: str, after: str, level: str, cause: str, hint: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": level},
        "annotations": {"summary": cause, "hint": hint},
    }


def dashboard(cluster: str) -> str:
    """A Grafana dashboard over the recorded figures: one panel per figure, a line per pool."""
    latencies = [f"{name}_p99" for name in _LATENCIES]
    panels = [
        {
            "id": number,
            "type": "timeseries",
            "title": name.replace("_", " "),
            "gridPos": {"x": (number % 2) * 12, "y": number // 2 * 8, "w": 12, "h": 8},
            "fieldConfig": {"defaults": {"unit": "s" if name in latencies else "short"}, "overrides": []},
            "targets": [
                {"expr": f'pdctl:pool_{name}{{{CLUSTER_LABEL}="{cluster}"}}', "legendFormat": "{{pdctl_pool}}"}
            ],
        }
        for number, name in enumerate((*RECORDED, *latencies))
    ]
    body = {"title": f"pdctl {cluster}", "uid": f"pdctl-{cluster}"[:40], "refresh": "5s", "schemaVersion": 39}
    return json.dumps({**body, "time": {"from": "now-30m", "to": "now"}, "panels": panels}, indent=2) + "\n"


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, width=1 << 16)
    return text

"""`pdctl advise handoff`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from pdctl.advisor.handoff import Handoff, KvHeads, Side, Verdict, handoff
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.read_deployment import read_deployment
from pdctl.errors import UsageError
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import Connector, Role, TransferMode

_GLYPH = {Verdict.YES: "✓", Verdict.NO: "✗", Verdict.UNKNOWN: "?"}


class Shape(click.ParamType[Parallel]):
    """`tp4`, `dp8+ep`, `tp2xdp4`."""

    name = "shape"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Parallel:
        found = re.fullmatch(r"(?=[td])(?:tp(\d+))?x?(?:dp(\d+))?(\+ep)?", str(value).lower())
        if not found or "0" in (found[1], found[2]):
            self.fail(f"{value!r} is no shape: tp4, dp8+ep, tp2xdp4", param, ctx)
        return Parallel(int(found[1] or 1), int(found[2] or 1), bool(found[3]))


@click.command("handoff")
@click.option("--prefill", type=Shape(), help="Prefill's shape, such as tp4 or dp8+ep; default: the inventory's pools.")
@click.option("--decode", type=Shape(), help="Decode's shape.")
@click.option(
    "--connector", type=click.Choice([Connector.MORIIO.value, Connector.NIXL.value]), help="Default: the inventory's."
)
@click.option(
    "--mode", type=click.Choice([TransferMode.READ.value, TransferMode.WRITE.value]), help="Default: the inventory's."
)
@click.option("--engine-version", help="vLLM's, such as 0.33; default: the inventory's.")
@click.option(
    "--model-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model's config.json: how many KV heads it has, and whether it is MLA.",
)
@click.pass_obj
def command(
    options: Globals,
    prefill: Parallel | None,
    decode: Parallel | None,
    connector: str | None,
    mode: str | None,
    engine_version: str | None,
    model_config: Path | None,
) -> int:
    """Can prefill of one layout hand its KV to decode of another: what is re-sharded, what the connector refuses.

    Exit code: 0 yes, 1 no, 3 it hangs on what is not known.
    """
    if (prefill is None) != (decode is None):
        raise UsageError("one shape is not enough", hint="give --prefill and --decode, or neither")
    deployment = None if prefill and connector and mode and engine_version else read_deployment(options.inventory)[1]
    sides = [(Side(prefill), Side(decode))] if prefill and decode else _pairs(deployment)
    if not sides:
        raise UsageError("the inventory has no prefill and decode instances", hint="give --prefill and --decode")
    kv = _kv_heads(model_config, deployment)
    judged = [
        handoff(
            one,
            other,
            kv,
            connector=Connector(connector) if connector else _of(deployment).kv.connector,
            mode=TransferMode(mode) if mode else _of(deployment).kv.mode,
            version=_version(engine_version) if engine_version else _of(deployment).engine.version_tuple,
        )
        for one, other in sides
    ]
    _say(options, judged, deployment.cluster if deployment else "")
    verdicts = {each.verdict for each in judged}
    return 1 if Verdict.NO in verdicts else 3 if Verdict.UNKNOWN in verdicts else 0


def _of(deployment: Deployment | None) -> Deployment:
    assert deployment is not None
    return deployment


def _pairs(deployment: Deployment | None) -> list[tuple[Side, Side]]:
    """Every kind of prefill instance with every kind of decode instance."""
    found: dict[Role, list[Side]] = {}
    for instance in _of(deployment).instances:
        side = Side(instance.parallel, len(set(instance.nodes)))
        sides = found.setdefault(instance.role, [])
        if side not in sides:
            sides.append(side)
    return [(one, other) for one in found.get(Role.PREFILL, []) for other in found.get(Role.DECODE, [])]


def _kv_heads(path: Path | None, deployment: Deployment | None) -> KvHeads:
    if path is None:
        return KvHeads(None, mla=deployment.model.mla if deployment else False)
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="give the model's config.json") from error
    if not isinstance(config, dict):
        raise UsageError(f"{path} is no model configuration", hint="give the model's config.json")
    text_config = config.get("text_config")
    if isinstance(text_config, dict):
        config = text_config
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads")
    return KvHeads(heads if isinstance(heads, int) else None, mla="kv_lora_rank" in config)


def _version(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(\.\d+){1,2}", text):
        raise UsageError(f"{text!r} is no version of vLLM", hint="such as 0.33")
    return tuple(int(part) for part in text.split("."))


def _say(options: Globals, judged: list[Handoff], cluster: str) -> None:
    if options.json:
        pairs = [
            {
                "prefill": each.prefill.words,
                "decode": each.decode.words,
                "verdict": each.verdict.value,
                "moves": each.moves,
                "refused": each.refused,
                "open": each.open,
            }
            for each in judged
        ]
        say_json(options, "handoff", {"pairs": pairs}, cluster=cluster)
        return
    for each in judged:
        click.echo(f"{_GLYPH[each.verdict]} {each.prefill.words} -> {each.decode.words}: {each.verdict}")
        for line in (*each.refused, *each.open, *each.moves):
            click.echo(f"    {line}")

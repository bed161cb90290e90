"""`pdctl bench eval`."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import platformdirs

from pdctl.bench.accuracy.baseline import baseline_path, read_baseline, write_baseline
from pdctl.bench.accuracy.compare import MARGIN, Verdict, compare, missing, overall
from pdctl.bench.accuracy.evaluate import evaluate
from pdctl.bench.accuracy.lm_eval_argv import Asked
from pdctl.bench.accuracy.scores import Evaluation
from pdctl.bench.drivers.means import Means
from pdctl.bench.point import Target
from pdctl.bench.reach import deployed_target, find_model, layout_of, reached
from pdctl.cli.bench.eval_text import compared_lines, score_lines
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.stopping import STOPS
from pdctl.control.clock import utc
from pdctl.control.execute import Interrupt
from pdctl.errors import UsageError
from pdctl.inventory.load import load
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.load import Api


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed of the server and of lm-eval."""

    url: str | None
    model: str | None
    name: str | None
    api_key_env: str | None
    chat: bool
    program: str


@click.command("eval")
@click.option("--url", metavar="URL", help="Any OpenAI-compatible server, instead of the inventory's router.")
@click.option("--model", metavar="NAME", help="Its model.  [default: the one in its /v1/models]")
@click.option("--name", metavar="NAME", help="What it is called.  [default: the cluster's name, or the URL's host]")
@click.option("--api-key-env", metavar="VAR", help="The environment variable that holds the server's key.")
@click.option("--chat", is_flag=True, help="Ask the chat endpoint, with the model's chat template.")
@click.option("--tasks", metavar="A,B", default="gsm8k", show_default=True, help="lm-eval's tasks.")
@click.option("--limit", type=click.IntRange(min=1), help="The first N documents of each task.  [default: all]")
@click.option("--shots", type=click.IntRange(min=0), help="Examples in the prompt.  [default: the task's]")
@click.option("--concurrency", type=click.IntRange(min=1), default=32, show_default=True, help="Requests at once.")
@click.option("--tokenizer", metavar="PATH", default="", help="For tasks that ask for likelihoods (mmlu, arc).")
@click.option("--program", metavar="PROGRAM", default="lm_eval", show_default=True, help="How lm-eval is started.")
@click.option("--baseline", type=click.Path(dir_okay=False, path_type=Path), help="Instead of the cluster's own file.")
@click.option("--save-baseline", is_flag=True, help="This evaluation is the baseline from now on.")
@click.option(
    "--margin",
    type=click.FloatRange(0.0, 1.0),
    default=MARGIN,
    show_default=True,
    help="Of a score: less is no matter.",
)
@click.argument("arguments", nargs=-1)
@click.pass_obj
def command(
    options: Globals,
    /,
    tasks: str,
    limit: int | None,
    shots: int | None,
    concurrency: int,
    tokenizer: str,
    baseline: Path | None,
    save_baseline: bool,
    margin: float,
    arguments: tuple[str, ...],
    **typed: Any,
) -> int:
    """Whether the cluster still answers as well as its baseline, by lm-eval (which has to be installed): 1 if worse.

    ARGUMENTS after `--` are lm-eval's own: `pdctl bench eval --tasks mine -- --include_path ./tasks`.
    """
    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    if not names:
        raise UsageError("--tasks names no task", hint="`lm-eval ls tasks` lists them")
    asked = Asked(names, limit, shots, concurrency, tokenizer, extra=_absolute(arguments))
    now = asyncio.run(_evaluate(options, Typed(**typed), asked))
    path = baseline or baseline_path(Path(platformdirs.user_data_dir("pdctl")), now.deployment)
    before = None if save_baseline else read_baseline(path)
    if save_baseline:
        write_baseline(path, now)
    return _say(options, now, before, path, saved=save_baseline, margin=margin)


async def _evaluate(options: Globals, typed: Typed, asked: Asked) -> Evaluation:
    interrupt = Interrupt()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, interrupt.ask)
    async with AsyncExitStack() as stack:
        target, deployment = _target(options, typed)
        layout = "" if deployment is None else layout_of(deployment)
        if deployment is not None:
            found = await stack.enter_async_context(reached(deployment, target))
            target = found.target
        elif not target.model:
            target = _named(target, await find_model(target))
        means = Means(program=tuple(shlex.split(typed.program)), on_progress=_Tenths().tell)
        taken = utc(time.time(), "%Y-%m-%dT%H:%M:%SZ")
        return await evaluate(target, asked, means, taken=taken, layout=layout, stop=interrupt.asked.is_set)


def _target(options: Globals, typed: Typed) -> tuple[Target, Deployment | None]:
    api = Api.CHAT if typed.chat else Api.COMPLETIONS
    key = None
    if typed.api_key_env is not None and not (key := os.environ.get(typed.api_key_env)):
        raise UsageError(f"--api-key-env {typed.api_key_env}: the variable is not set", hint="export it first")
    if typed.url is not None:
        name = typed.name or typed.url.rpartition("//")[2].strip("/")
        return Target(typed.url.rstrip("/"), typed.model or "", name, api=api, api_key=key), None
    deployment = place(load(options.inventory))
    target = deployed_target(deployment)
    named = Target(target.url, typed.model or target.model, typed.name or target.deployment, api=api, api_key=key)
    return named, deployment


def _named(target: Target, model: str) -> Target:
    return Target(target.url, model, target.deployment, api=target.api, api_key=target.api_key)


def _absolute(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """lm-eval runs in a directory of its own, so what is a path here is made one there."""
    return tuple(str(Path(word).resolve()) if "/" in word and Path(word).exists() else word for word in arguments)


class _Tenths:
    """Progress on stderr, a line for each tenth."""

    def __init__(self) -> None:
        self._said = (0, 0)

    def tell(self, done: int, of: int) -> None:
        tenth = (of, 10 * done // max(of, 1))
        if tenth != self._said:
            self._said = tenth
            click.echo(f"{done} of {of}", err=True)


def _say(
    options: Globals, now: Evaluation, before: Evaluation | None, path: Path, *, saved: bool, margin: float
) -> int:
    compared = () if before is None else compare(now, before, margin=margin)
    lost = () if before is None else missing(now, before)
    verdict = overall(compared) if before is not None else None
    if options.json:
        body = {
            "evaluation": now.model_dump(),
            "baseline": None if before is None else before.model_dump(),
            "baseline_file": str(path),
            "saved": saved,
            "verdict": verdict,
            "compared": [_plain(asdict(each)) for each in compared],
            "missing": [score.model_dump() for score in lost],
        }
        say_json(options, "bench_eval", body, cluster=now.deployment)
    elif before is None:
        for line in score_lines(now):
            click.echo(line)
        click.echo(f"baseline saved: {path}" if saved else f"no baseline yet ({path}): give `--save-baseline`")
    else:
        for line in compared_lines(compared, lost, before):
            click.echo(line)
    return 1 if verdict is Verdict.WORSE else 0


def _plain(each: dict[str, object]) -> dict[str, object]:
    return {key: value.model_dump() if hasattr(value, "model_dump") else value for key, value in each.items()}

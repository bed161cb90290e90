"""The command line of lm-eval against an OpenAI-compatible server. Pure.

`local-completions` and `local-chat-completions` (lm-eval 0.4.13, `openai_completions.py`). Prompts are sent as text, so
no tokenizer is needed, unless a task asks for likelihoods: those are counted by tokens, and `tokenizer` says whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.bench.drivers.tool import OUT
from pdctl.bench.point import Target
from pdctl.errors import UsageError
from pdctl.model.load import Api

TOOL = "lm-eval"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is evaluated. `limit`: so many documents of each task, the first ones. `extra`: lm-eval's own arguments."""

    tasks: Sequence[str] = ("gsm8k",)
    limit: int | None = None
    shots: int | None = None
    concurrency: int = 32
    tokenizer: str = ""
    timeout_s: float = 1800.0
    extra: Sequence[str] = ()


def lm_eval_argv(program: Sequence[str], target: Target, asked: Asked) -> tuple[str, ...]:
    """Raises UsageError for names that its `key=value,…` argument cannot carry."""
    chat = target.api is Api.CHAT
    settings = {
        "model": target.model,
        "base_url": target.url.rstrip("/") + target.api.path,
        "num_concurrent": str(asked.concurrency),
        "max_retries": "3",
        "timeout": f"{asked.timeout_s:g}",
        "tokenized_requests": "False",
    }
    if asked.tokenizer:
        settings["tokenizer"] = asked.tokenizer
    else:
        settings["tokenizer_backend"] = "None"
    for name, value in settings.items():
        if "," in value or "=" in value:
            raise UsageError(f"lm-eval takes no {name} with a comma or `=` in it: {value}")
    argv = [*program, "--model", "local-chat-completions" if chat else "local-completions"]
    argv += ["--model_args", ",".join(f"{name}={value}" for name, value in settings.items())]
    argv += ["--tasks", ",".join(asked.tasks), "--output_path", OUT]
    if chat:
        argv.append("--apply_chat_template")
    if asked.limit is not None:
        argv += ["--limit", str(asked.limit)]
    if asked.shots is not None:
        argv += ["--num_fewshot", str(asked.shots)]
    return (*argv, *asked.extra)

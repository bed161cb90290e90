"""Run lm-eval against a server and read its scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from pdctl.bench.accuracy.lm_eval_argv import TOOL, Asked, lm_eval_argv
from pdctl.bench.accuracy.scores import Evaluation, scores_of
from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.tool import Job, run_tool
from pdctl.bench.point import Target
from pdctl.errors import BenchError, Interrupted
from pdctl.model.load import Api

_INSTALL = "`pip install 'lm-eval[api]'` in an environment of its own, and `--program` with the path of its lm_eval"
_QUIET_S = 3600.0  # a task's data set may have to be downloaded first


async def evaluate(
    target: Target, asked: Asked, means: Means, *, taken: str, layout: str = "", stop: Callable[[], bool]
) -> Evaluation:
    """`taken`: the moment, as it is to be written down. Raises BenchError where lm-eval is not there, fails (it does
    where a request fails for good) or gives no score; Interrupted where `stop` said so."""
    argv = lm_eval_argv(means.program or ("lm_eval",), target, asked)
    environment = {"OPENAI_API_KEY": target.api_key} if target.api_key else {}
    job = Job(TOOL, argv, _INSTALL, environment=environment, quiet_s=_QUIET_S + asked.timeout_s)
    ended = await run_tool(means.shell, job, stop=stop, on_progress=means.on_progress)
    if ended.stopped:
        raise Interrupted("the evaluation was stopped: it has no score")
    written = sorted(name for name in ended.files if PurePosixPath(name).name.startswith("results"))
    if not written:
        raise BenchError(f"{TOOL} ended without results", hint="run it by hand and look at what it prints")
    scores, version = scores_of(ended.files[written[-1]])
    return Evaluation(
        deployment=target.deployment,
        model=target.model,
        taken=taken,
        layout=layout,
        chat=target.api is Api.CHAT,
        lm_eval=version,
        limit=asked.limit,
        scores=scores,
    )

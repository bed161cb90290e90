"""GuideLLM as a client of loadgen.py: its own command, on the same core, against the same server.

What it costs to start is not counted: two runs that differ in the number of events, and the difference of their CPU
seconds. It runs one worker process here, as all clients have one core.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
from pathlib import Path


def events_per_cpu_s(command: str, url: str, streams: int, events: int, core: int) -> tuple[str, float]:
    """GuideLLM's version, and events per second of its CPU. Raises CalledProcessError, with what it said."""
    version = subprocess.run([command, "--version"], capture_output=True, check=True, text=True).stdout.split()[-1]
    few, many = events // 10, events
    before, after = (_cpu_s(command, url, streams, count, core) for count in (few, many))
    return version, streams * (many - few) / (after - before)


def _cpu_s(command: str, url: str, streams: int, events: int, core: int) -> float:
    """CPU seconds of one run, with all its processes, of `streams` requests at once with `events` tokens each."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "prompts.jsonl"
        row = json.dumps({"prompt": "hello", "output_tokens_count": events})
        data.write_text(f"{row}\n" * streams)
        began_s = _children_s()
        argv = [
            *("taskset", "-c", str(core), command, "run"),
            *("--backend", f"kind=openai_http,target={url},model=fast"),
            *("--profile", f"kind=concurrent,streams={streams}"),
            *("--constraint", f"kind=max_requests,count={streams}"),
            *("--data", f"kind=json_file,path={data}"),
            *("--output", f"kind=json,path={place}/out.json", "--disable-console"),
        ]
        environment = {
            **os.environ,
            "GUIDELLM__MAX_WORKER_PROCESSES": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": place,
        }
        subprocess.run(argv, env=environment, capture_output=True, check=True, text=True)
        report = json.loads((Path(place) / "out.json").read_text())
        good = report["benchmarks"][0]["metrics"]["request_totals"]["successful"]
        assert good == streams, f"{good} of {streams} requests were answered"
        return _children_s() - began_s


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

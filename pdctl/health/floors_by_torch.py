"""How fast each visible GPU multiplies and copies: one JSON line per GPU on stdout. Run by the engine's own Python,
whose torch it uses; it holds a GPU for about two seconds.

Sizes as in Primus node_smoke: a matrix product of 8192^3 in bfloat16, and copies within 1 GiB of HBM.
"""

import json
import time
from collections.abc import Callable
from typing import Any

SIZE = 8192
COPY_BYTES = 1 << 30
ROUNDS = 20


def seconds(torch: Any, work: Callable[[], object]) -> float:
    """The best of three times of ROUNDS runs of `work`, in seconds per run, after a warm-up."""
    best = float("inf")
    for turn in range(4):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(ROUNDS):
            work()
        torch.cuda.synchronize()
        if turn:
            best = min(best, (time.perf_counter() - began) / ROUNDS)
    return best


def measure(torch: Any, index: int) -> dict[str, Any]:
    torch.cuda.set_device(index)
    left = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
    right = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
    product = seconds(torch, lambda: torch.mm(left, right))
    source = torch.empty(COPY_BYTES, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = seconds(torch, lambda: target.copy_(source))
    return {"gpu": index, "tflops": 2 * SIZE**3 / product / 1e12, "gbytes_per_s": 2 * COPY_BYTES / copy / 1e9}


def run() -> None:
    import torch

    for index in range(torch.cuda.device_count()):
        try:
            answer = measure(torch, index)
        except RuntimeError as error:
            answer = {"gpu": index, "error": str(error).splitlines()[0][:200]}
        print("PDCTL-FLOOR " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    run()

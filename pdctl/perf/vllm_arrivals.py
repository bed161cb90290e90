"""When `vllm bench serve` sends its requests: the same moments in every run, unless it is told another seed.

The tool seeds NumPy's global generator with its `--seed` (0 by default), draws one gap per request from
`numpy.random.gamma(1, 1 / rate)`, sums them, and scales all so that the last request is sent at requests / rate
(vLLM 0.16 to 0.33, `benchmarks/serve.py`, `get_request`). The first request is sent after the first gap, and the
duration that it reports counts from before that gap. The random data set draws from a generator of its own.

So two published rows of the same number of requests saw the same arrivals but for their scale, and they can be played
again. A gamma of shape 1 is `-log(1 - u)` in NumPy's legacy generator, u being MT19937's 53 bits as `random.random`
makes them; only the seeding differs from Python's.
"""

from __future__ import annotations

import math
import random
from itertools import accumulate

from pdctl.perf.workload import Asked, Workload


def vllm_bench(
    requests: int, rate_per_s: float, isl: int, osl: int, *, seed: int = 0, concurrency: int | None = None
) -> Workload:
    """Requests of one shape as `vllm bench serve --request-rate R --num-prompts N --seed S` offers them."""
    return Workload(
        tuple(Asked(at_s, isl, osl) for at_s in offers_s(requests, rate_per_s, seed)), concurrency=concurrency
    )


def offers_s(requests: int, rate_per_s: float, seed: int = 0) -> list[float]:
    """Seconds from the start of the run at which each request is offered; the last at requests / rate."""
    dice = legacy_generator(seed)
    moments = list(accumulate(-math.log(1.0 - dice.random()) for _ in range(requests)))
    scale = requests / rate_per_s / moments[-1]
    return [moment * scale for moment in moments]


def legacy_generator(seed: int) -> random.Random:
    """MT19937 in the state that `numpy.random.seed(seed)` leaves it in (Matsumoto and Nishimura's `init_genrand`)."""
    state = [seed & 0xFFFFFFFF]
    for place in range(1, 624):
        last = state[-1]
        state.append((1812433253 * (last ^ (last >> 30)) + place) & 0xFFFFFFFF)
    dice = random.Random()
    dice.setstate((3, (*state, 624), None))
    return dice

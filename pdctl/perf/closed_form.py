"""Closed forms of what instances can carry: for pre-screening, for policies that must answer at once, and for words.

They take the step equation (`pdctl.perf.step_time`) at its mean and add what chance does to it; `pdctl.perf.simulate`
is better and costlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, TransferModel
from pdctl.perf.profile import Profile

_FILL, _FILL_SHORT = 0.78, 0.92
"""Of several ranks with prompts of their own, of about a chunk or of less than half a one; the closed form on the
published tables had the first factor too."""
_UNEVEN = 2.0
"""The fullest rank's share of a step's prompts, in units of the mean: a balancer that counts requests swings."""
_BELOW, _ABOVE = 0.72, 0.30
"""How far a decode pool's load strays, in units of 1/sqrt(sequences in flight); less in overload, where sequences stay
long enough to see the mean. Read off simulated pools of 1 to 5 instances."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Requests per second, mean prompt and mean output tokens."""

    rate_per_s: float
    isl: float
    osl: float


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """What equal instances carry under targets. Rates are requests per second of one instance."""

    prefill: InstanceModel
    decode: InstanceModel
    transfer: TransferModel
    slo: Slo

    @classmethod
    def of(cls, profile: Profile, slo: Slo) -> ClosedForm:
        return cls(profile.instance(Role.PREFILL), profile.instance(Role.DECODE), profile.transfer, slo)

    def prefill_rate(self, isl: float) -> float:
        """Prompts read per second with always some waiting. Steps are full of chunks; of several ranks, which wait for
        the fullest, about a fifth idles."""
        model = self.prefill
        fill = 1.0 if model.ranks == 1 else _FILL if isl * 2 > model.chunk_tokens else _FILL_SHORT
        return fill * model.ranks * model.chunk_tokens / self._full_step_s / isl

    @property
    def _full_step_s(self) -> float:
        return self._prefill_step_s(self.prefill.chunk_tokens, self.prefill.chunk_tokens * self.prefill.ranks)

    def _prefill_step_s(self, fullest: float, of_all: float) -> float:
        constants = self.prefill.constants
        total_s = constants.prefill_s + constants.prefill_per_token_s * fullest
        return total_s + constants.prefill_per_token_of_all_s * of_all

    def decode_batch(self, isl: float, osl: float) -> float:
        """B*: sequences per rank at which a decode step takes as long as the ITL target allows."""
        constants = self.decode.constants
        spare_s = self.slo.itl_s - constants.decode_s
        per_seq_s = constants.decode_per_seq_s + constants.decode_per_context_token_s * (isl + osl / 2)
        if spare_s <= 0:
            return 0.0
        most = float(self.decode.max_seqs)
        if self.decode.kv_tokens is not None:
            most = min(most, self.decode.kv_tokens / (isl + osl))
        return min(most, spare_s / per_seq_s) if per_seq_s > 0 else most

    def decode_rate(self, isl: float, osl: float) -> float:
        """Requests written per second with B* sequences on every rank. Where seats or KV bound B*, steps are quicker
        than the target."""
        batch, constants = self.decode_batch(isl, osl), self.decode.constants
        per_seq_s = constants.decode_per_seq_s + constants.decode_per_context_token_s * (isl + osl / 2)
        step_s = min(self.slo.itl_s, constants.decode_s + per_seq_s * batch)
        return self.decode.ranks * batch / (osl * step_s) if step_s > 0 else 0.0

    def prefill_load(self, count: int, offer: Offer) -> float:
        """1.0: all that the pool can read."""
        return offer.rate_per_s / (count * self.prefill_rate(offer.isl))

    def decode_load(self, count: int, offer: Offer) -> float:
        """1.0: all that the pool can write within the ITL target; inf where one sequence alone is too slow."""
        rate = count * self.decode_rate(offer.isl, offer.osl)
        return offer.rate_per_s / rate if rate > 0 else math.inf

    def decode_fill(self, count: int, offer: Offer) -> float:
        """Sequences in flight in the long run, in units of B* on every rank; inf where they would pile up."""
        constants = self.decode.constants
        tokens_per_s = offer.rate_per_s * offer.osl / (count * self.decode.ranks)
        per_seq_s = constants.decode_per_seq_s + constants.decode_per_context_token_s * (offer.isl + offer.osl / 2)
        batch = self.decode_batch(offer.isl, offer.osl)
        if tokens_per_s * per_seq_s >= 1 or batch <= 0:
            return math.inf
        return tokens_per_s * constants.decode_s / (1 - tokens_per_s * per_seq_s) / batch

    def prefill_step_s(self, count: int, offer: Offer) -> float:
        """How long a step comes to last: what arrives in one step is the next one's work."""
        model, constants = self.prefill, self.prefill.constants
        alone = min(offer.isl, model.chunk_tokens)
        uneven = 1.0 if model.ranks == 1 else _UNEVEN
        per_token_s = constants.prefill_per_token_s * uneven / model.ranks + constants.prefill_per_token_of_all_s
        growth = offer.rate_per_s / count * offer.isl * per_token_s
        grown_s = constants.prefill_s / (1 - growth) if growth < 1 else math.inf
        return min(self._full_step_s, max(self._prefill_step_s(alone, alone), grown_s))

    def unqueued_ttft_s(self, count: int, offer: Offer) -> float:
        """TTFT of one that comes just before a step begins: its own steps, the hand-off and a decode step."""
        steps = math.ceil(offer.isl / self.prefill.chunk_tokens)
        own_s = self.prefill_step_s(count, offer) * steps
        return own_s + self.transfer.after_prefill_s(round(offer.isl)) + self.decode.constants.decode_s

    def prefill_met(self, count: int, offer: Offer) -> float:
        """Share of requests within the TTFT target in the long run: who comes waits for a part of a step, and in a
        queue (the tail for steady service times in heavy traffic); 0.0 where the pool cannot keep up."""
        slack_s = self.slo.ttft_s - self.unqueued_ttft_s(count, offer)
        load = self.prefill_load(count, offer)
        if slack_s <= 0 or load >= 1:
            return 0.0
        step_s = self.prefill_step_s(count, offer)
        queued_s = max(0.0, slack_s - step_s / 2)
        in_queue = 1.0 - load * math.exp(-2 * (1 - load) * count * self.prefill_rate(offer.isl) * queued_s)
        return min(1.0, slack_s / step_s) * in_queue

    def decode_met(self, count: int, offer: Offer) -> float:
        """Share of requests whose mean ITL is within the target in the long run, with the load's chance."""
        load = self.decode_load(count, offer)
        if math.isinf(load) or load <= 0:
            return float(load <= 0)
        in_flight = max(1.0, min(1.0, load) * self.decode_batch(offer.isl, offer.osl) * self.decode.ranks * count)
        strays = load * (_BELOW if load < 1 else _ABOVE) / math.sqrt(in_flight)
        return 0.5 * math.erfc((load - 1.0) / strays / math.sqrt(2))

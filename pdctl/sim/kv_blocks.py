"""Paged KV cache of one rank: real block ids, counted to the block.

A request reserves what it will need at most when it is admitted and takes blocks as its tokens come, so usage is what
vLLM would show, and a request that was admitted never runs out. vLLM overcommits and preempts instead; the simulator
knows every answer's length beforehand and has no need to.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks that hold `tokens` tokens."""
    return -(-tokens // block_size)


@dataclass(slots=True)
class Holding:
    """The blocks of one request: `ids` are taken, `reserved` may still be taken."""

    ids: list[int] = field(default_factory=list)
    reserved: int = 0


class BlockPool:
    """`total` blocks, of which block 0 is vLLM's null block and never given out."""

    def __init__(self, total: int) -> None:
        if total < 2:
            raise ValueError("a KV cache needs at least 2 blocks")
        self.total = total
        self._free = list(range(total - 1, 0, -1))
        self._reserved = 0

    @property
    def usable(self) -> int:
        return self.total - 1

    @property
    def available(self) -> int:
        """Blocks that are neither taken nor promised."""
        return len(self._free) - self._reserved

    @property
    def held(self) -> int:
        """Blocks taken."""
        return self.usable - len(self._free)

    @property
    def usage(self) -> float:
        """Share of blocks taken, 0..1: `vllm:kv_cache_usage_perc`."""
        return self.held / self.usable

    def admit(self, now: int, at_most: int) -> Holding | None:
        """A holding of `now` blocks that may grow to `at_most`; None when they are not to be had."""
        if at_most < now:
            raise ValueError("a holding cannot be promised less than it takes")
        if at_most > self.available:
            return None
        ids = [self._free.pop() for _ in range(now)]
        self._reserved += at_most - now
        return Holding(ids, at_most - now)

    def grow(self, holding: Holding) -> None:
        """Take one promised block. Raises ValueError when none was promised."""
        if holding.reserved < 1:
            raise ValueError("no block was reserved")
        holding.reserved -= 1
        self._reserved -= 1
        holding.ids.append(self._free.pop())

    def shrink(self, holding: Holding) -> None:
        """Give up what is promised but not taken."""
        self._reserved -= holding.reserved
        holding.reserved = 0

    def release(self, holding: Holding) -> int:
        """Give everything back; how many blocks that were. A second release gives back nothing."""
        self.shrink(holding)
        count = len(holding.ids)
        self._free.extend(reversed(holding.ids))
        holding.ids = []
        return count

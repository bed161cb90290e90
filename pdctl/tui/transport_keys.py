"""The keys that move through time: on a recording, and through the last quarter of an hour of a live cluster."""

from __future__ import annotations

from typing import Final

from textual.app import App

from pdctl.tui.playback import next_speed
from pdctl.tui.ports import Feed
from pdctl.tui.replay_line import mark_of, moment

MINUTE_S: Final = 60.0


class TransportKeys(App[int]):
    """What `[` `]` `{` `}` `<` `>` and `:seek` do; nothing, in words, where time cannot be moved."""

    feed: Feed

    @property
    def looks_back(self) -> bool:
        """Whether what is shown is not what is: a recording, or a live cluster some time ago."""
        transport = self.feed.transport
        return transport is not None and not (transport.live and transport.playing)

    def time_mark(self) -> str:
        """What the first line adds about time."""
        return "" if self.feed.transport is None else mark_of(self.feed.transport)

    def action_step_back(self) -> None:
        self._step(-1)

    def action_step_on(self) -> None:
        self._step(+1)

    def action_minute_back(self) -> None:
        self._seek_by(-MINUTE_S)

    def action_minute_on(self) -> None:
        self._seek_by(+MINUTE_S)

    def action_play_slower(self) -> None:
        self._speed(faster=False)

    def action_play_faster(self) -> None:
        self._speed(faster=True)

    def action_seek(self) -> None:
        self.notify("`:seek 03:14`, `:seek -90s` (before the end), `:seek +5m` (after the beginning)")

    def seek(self, text: str) -> str:
        """Show that time; what is wrong with the text, "" if nothing is."""
        transport = self.feed.transport
        if transport is None or not transport.times:
            return "there is no past to go to here"
        try:
            transport.seek(moment(text, transport.times))
        except ValueError as error:
            return str(error)
        return ""

    def _step(self, count: int) -> None:
        if self.feed.transport is None:
            self.notify("there is no past to go to here", timeout=2)
        else:
            self.feed.transport.step(count)

    def _seek_by(self, seconds: float) -> None:
        transport = self.feed.transport
        if transport is None or not transport.times:
            self.notify("there is no past to go to here", timeout=2)
            return
        place = min(max(transport.place, 0), len(transport.times) - 1)
        transport.seek(transport.times[place] + seconds)

    def _speed(self, *, faster: bool) -> None:
        transport = self.feed.transport
        if transport is None or transport.live:
            self.notify("only a recording can be played at another speed", timeout=2)
            return
        transport.set_speed(next_speed(transport.speed, faster=faster))

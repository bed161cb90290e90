"""What travels between the feed, the app and its screens."""

from __future__ import annotations

from textual.message import Message

from pdctl.model.snapshot import Snapshot


class SnapshotReady(Message):
    """A new snapshot. One that waits is replaced by a newer one: a slow terminal sees fewer, and never old ones."""

    def __init__(self, snapshot: Snapshot, sent_s: float = 0.0) -> None:
        """`sent_s`: monotonic seconds."""
        super().__init__()
        self.snapshot, self.sent_s = snapshot, sent_s

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotReady)


class FeedEnded(Message):
    """The feed gives nothing more; `trouble` "" at the end of a recording, else why."""

    def __init__(self, trouble: str) -> None:
        super().__init__()
        self.trouble = trouble

"""Server-sent events, incrementally: bytes in as they arrive, the data of whole events out.

Follows the WHATWG event stream format (HTML standard, section 9.2.6) as far as OpenAI-style servers use it: `data`
fields, comments, and all three line ends. Other fields are skipped. An event that the stream's end cut off is dropped.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"


class SseDecoder:
    """One stream. Feeding it the same bytes in any split yields the same events."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[str]:
        """The data of every event that `chunk` completes, in order. Bytes that are no UTF-8 become U+FFFD."""
        return [data.decode("utf-8", "replace") for data in self.feed_bytes(chunk)]

    def feed_bytes(self, chunk: bytes) -> list[bytes]:
        """The same as bytes."""
        if not chunk:
            return []
        if self._is_one_event(chunk):
            return [chunk[6:-2]]
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a CRLF whose CR has ended the line already
        self._after_cr = False
        lines = self._lines(self._rest + chunk)
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line == b"data":
                self._data.append(b"")
        return events

    def _is_one_event(self, chunk: bytes) -> bool:
        """The way nearly every event of an engine comes: alone, whole, one line of data, and nothing was pending."""
        return (
            chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and chunk.find(b"\n") == len(chunk) - 2
            and self._started
            and not self._rest
            and not self._data
            and not self._after_cr
            and b"\r" not in chunk
        )

    def _lines(self, text: bytes) -> list[bytes]:
        """Whole lines without their ends; what is left of `text` waits for the next chunk."""
        if not self._started:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            self._started = True
            text = text.removeprefix(_BOM)
        lines = text.splitlines()  # of bytes: at \n, \r and \r\n only
        if text.endswith((b"\n", b"\r")):
            self._rest = b""
            self._after_cr = text.endswith(b"\r")
        else:
            self._rest = lines.pop() if lines else b""
        return lines

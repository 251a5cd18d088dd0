"""Responses as a WARC file (ISO 28500), readable by every tool of web archives; what a kill left half written is cut off."""

from __future__ import annotations

import io
import os
from pathlib import Path

from finecomb.data.dataset.crawl.fetch import Answer


class Warc:
    """One file of gzip members, one for each record."""

    def __init__(self, path: Path, whole: int, user_agent: str) -> None:
        """whole: bytes that are known to be complete records."""
        from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

        self._file = path.open("ab")
        os.truncate(path, min(whole, path.stat().st_size))
        self._file.seek(0, io.SEEK_END)
        self._writer = WARCWriter(self._file, gzip=True)
        if self._file.tell() == 0:
            self._writer.write_record(
                self._writer.create_warcinfo_record(path.name, {"software": "finecomb", "http-header-user-agent": user_agent})
            )

    def write(self, url: str, answer: Answer) -> int:
        """Append a response; returns the length of the file, all of it written."""
        from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]

        # The body is kept as it was sent, but in one piece.
        headers = [(name, value) for name, value in answer.headers if name.lower() != "transfer-encoding"]
        http = StatusAndHeaders(f"{answer.status} {answer.reason}", headers, protocol="HTTP/1.1")
        self._writer.write_record(self._writer.create_warc_record(url, "response", payload=io.BytesIO(answer.raw), http_headers=http))
        self._file.flush()
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

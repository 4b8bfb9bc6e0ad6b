"""Where in the text of a scenario file a key stands; the TOML parser of the standard library does not tell.

Lives here: a scan for headers and keys that knows just enough of TOML. Must not live here: any judgement of the file.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w-]+)\s*\]\]?")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*(?:\.[^=]*)?=")
_FENCE = re.compile(r'"""|' + "'''")


class Places:
    """Lines of keys by (table, number of the table among those of its name, key)."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, int, str], int] = {}
        counts: dict[str, int] = {}
        table, number, fence = "", 0, ""
        for line, content in enumerate(text.splitlines(), start=1):
            if fence:
                fence = "" if fence in content else fence
                continue
            if header := _HEADER.match(content):
                table = header[2]
                number = counts.get(table, -1) + 1 if header[1] == "[[" else 0
                counts[table] = number
                self._lines[(table, number, "")] = line
            elif name := _KEY.match(content):
                self._lines.setdefault((table, number, name[1]), line)
            opened = _FENCE.findall(content)
            fence = opened[0] if len(opened) % 2 else ""

    def line(self, table: str, number: int, key: str = "") -> int:
        """The line of a key; of its table if the key is not there; 1 if not even that is."""
        for place in ((table, number, key), (table, number, ""), ("", 0, table), (key, 0, "")):
            if place in self._lines:
                return self._lines[place]
        return 1

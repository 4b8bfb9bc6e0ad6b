"""Shapes that several kinds of resources share.

Lives here: shapes of single attributes. Must not live here: a kind.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from actors import limits
from actors.door.shapes import Integer, ListOf, Text
from actors.prefixes import parse_prefix

DESCRIPTION_CHARS_MAX: Final = 1_024
MARKDOWN_CHARS_MAX: Final = 16_384
TAGS_MAX: Final = 32
CIDRS_MAX: Final = 256


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("must be a network such as 10.1.0.0/16 or fd12::/48, without bits behind the mask") from None
    return str(network)


NAME: Final = Text(chars_min=1, chars_max=255, trim=True)
SHORT_NAME: Final = Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX, trim=True)
SLUG: Final = Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX, pattern="[a-z0-9][a-z0-9-]{0,63}")
WORD: Final = Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX, pattern="[a-z0-9][a-z0-9_.-]{0,63}")
DESCRIPTION: Final = Text(chars_max=DESCRIPTION_CHARS_MAX, lines=True)
MARKDOWN: Final = Text(chars_max=MARKDOWN_CHARS_MAX, lines=True)
TAGS: Final = ListOf(WORD, TAGS_MAX, distinct=True)
OCI_REFERENCE: Final = Text(chars_min=1, chars_max=512, pattern="[a-zA-Z0-9][a-zA-Z0-9._:/@-]*")
OCI_DIGEST: Final = Text(chars_max=71, pattern="sha256:[0-9a-f]{64}")
PORT: Final = Integer(1, 65_535)
POSITIVE: Final = Integer(1)
NETWORK: Final = Text(chars_min=1, chars_max=64, trim=True, convert=_network)
PREFIX: Final = Text(chars_min=1, chars_max=64, trim=True, convert=lambda text: str(parse_prefix(text)))
NETWORKS: Final = ListOf(NETWORK, CIDRS_MAX, distinct=True)

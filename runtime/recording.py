"""The flight recorder's rings as a document, and the values of a document again.

Lives here: the encoding of messages, records and draws as JSON-ready values, with every secret replaced. Must not live here: files, or what
is done with a recording (see `sim.recorded`).

A secret is replaced by another of the same length that follows from it and a key that nobody keeps: equal secrets stay equal within one
document, and nothing leads back. What is derived from a secret and kept in the open (its digest) is replaced along with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from runtime.actor import Ref
from runtime.cell import Ask
from runtime.engine import Engine
from runtime.recorder import Checkpoint, Recorded
from runtime.secret import BEARING_KEYS, SECRET_PART, Secret
from runtime.values import Value, fields_of

FORMAT: Final = 1
TAG: Final = "$"
TRUSTED: Final = ("actors.", "runtime.")
"""Packages whose attrs classes a document may name."""
_BEGINNING_CHARS: Final = 8
"""By so many characters at most it is decided whether a known text may begin at a place."""


class NotRecordableError(ValueError):
    """A document holds something that no longer exists in this program, or never did."""


class Opaque(Value, frozen=True):
    """A value that a document only names, because it cannot leave its process."""

    name: str


class Disguise:
    """Replaces secrets, each always by the same other text.

    Args:
        key: fresh random bytes; whoever has them could find a weak secret by trying.
        suffixes: what may follow a secret in a text of which a digest is kept.
    """

    def __init__(self, key: bytes, suffixes: Iterable[str] = ()) -> None:
        self._key = key
        self._suffixes = ("", *suffixes)
        self.derived: dict[str, str] = {}

    def secret_bytes(self, value: bytes) -> bytes:
        """Other bytes of the same length."""
        replaced = hashlib.shake_256(hmac.digest(self._key, value, "sha256")).digest(len(value))
        self._learn(_text(value), _text(replaced))
        return replaced

    def text(self, value: str) -> str:
        """Another text: of a token only the secret part is another."""
        replaced = SECRET_PART.sub(lambda found: _text(self.secret_bytes(_bytes(found[0]))), value)
        if replaced == value:
            replaced = f"secret-{hmac.digest(self._key, value.encode(), 'sha256').hex()[:16]}"
        self._learn(value, replaced)
        return replaced

    def _learn(self, value: str, replaced: str) -> None:
        self.derived[value] = replaced
        for suffix in self._suffixes:
            self.derived[_digest(value + suffix)] = _digest(replaced + suffix)


class Encoder:
    """Values to JSON-ready ones. Without a disguise secrets are written as they are: for values of a recording only."""

    def __init__(self, disguise: Disguise | None) -> None:
        self._disguise = disguise
        self._asks: dict[int, int] = {}

    def encode(self, value: Any, key: str = "") -> Any:
        """The JSON-ready form of a value; `key` is the name that it stands under."""
        if isinstance(value, str):
            return self._disguise.text(value) if self._disguise is not None and key in BEARING_KEYS and value else value
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Ref):
            return {TAG: "ref", "kind": value.kind, "id": value.id}
        if isinstance(value, tuple | frozenset | set):
            items = value if isinstance(value, tuple) else sorted(value, key=repr)
            return {TAG: "tuple" if isinstance(value, tuple) else "set", "of": [self.encode(each) for each in items]}
        if isinstance(value, list):
            return [self.encode(each) for each in value]
        if isinstance(value, Mapping):
            return {TAG: "map", "of": [[self.encode(name), self.encode(each, str(name))] for name, each in value.items()]}
        return self._special(value)

    def _special(self, value: Any) -> Any:
        if isinstance(value, Secret):
            plain = value.reveal_bytes()
            return {TAG: "secret", "of": _base64(plain if self._disguise is None else self._disguised(plain))}
        if isinstance(value, bytes):
            # Sealed bytes are no secret by themselves; they are replaced because a master key that leaks later must not open them.
            return {TAG: "bytes", "of": _base64(value if self._disguise is None else self._disguise.secret_bytes(value))}
        if isinstance(value, Ask):
            return {TAG: "ask", "of": self._asks.setdefault(id(value), len(self._asks) + 1)}
        cls = type(value)
        names = fields_of(cls) if cls.__module__.startswith(TRUSTED) else None
        if names is not None:
            fields = {name: self.encode(getattr(value, name), name) for name in names}
            return {TAG: f"{cls.__module__}:{cls.__qualname__}", "of": fields}
        if cls.__module__.startswith(TRUSTED) and not getattr(cls, "__slots__", None) and not getattr(value, "__dict__", None):
            return {TAG: f"{cls.__module__}:{cls.__qualname__}", "of": {}}
        return {TAG: "opaque", "of": cls.__qualname__}

    def _disguised(self, plain: bytes) -> bytes:
        assert self._disguise is not None
        try:
            text = plain.decode("ascii")
        except UnicodeDecodeError:
            return self._disguise.secret_bytes(plain)
        return self._disguise.text(text).encode() if text.isprintable() else self._disguise.secret_bytes(plain)


class Decoder:
    """JSON-ready values to values.

    Args:
        ask: makes the question that stands for a recorded one.
    """

    def __init__(self, ask: Any) -> None:
        self._ask = ask
        self._asks: dict[int, Any] = {}

    def decode(self, value: Any) -> Any:
        """The value.

        Raises:
            NotRecordableError: it is of a class that this program does not know.
        """
        if isinstance(value, list):
            return [self.decode(each) for each in value]
        if not isinstance(value, dict):
            return value
        tag, of = value.get(TAG), value.get("of")
        if tag == "ref":
            return Ref(value["kind"], value["id"])
        if tag in ("tuple", "set"):
            items = [self.decode(each) for each in of or ()]
            return tuple(items) if tag == "tuple" else frozenset(items)
        if tag == "map":
            return {self.decode(name): self.decode(each) for name, each in of or ()}
        if tag in ("secret", "bytes"):
            plain = base64.b64decode(str(of))
            return Secret(plain) if tag == "secret" else plain
        if tag == "ask":
            return self._asks.setdefault(int(str(of)), None) or self._new_ask(int(str(of)))
        if tag == "opaque":
            return Opaque(str(of))
        return self._instance(str(tag), of if isinstance(of, dict) else {})

    def _new_ask(self, number: int) -> Any:
        self._asks[number] = self._ask()
        return self._asks[number]

    def _instance(self, tag: str, fields: dict[str, Any]) -> Any:
        cls = find_class(tag)
        made = {name: self.decode(each) for name, each in fields.items()}
        if issubclass(cls, Value):
            return _value(cls, made, tag)
        if not attrs.has(cls):
            return cls()
        known = {field.name for field in attrs.fields(cls)}
        if not made.keys() <= known:
            raise NotRecordableError(f"{tag} has no field {min(made.keys() - known)}")
        value = cls.__new__(cls)
        for field in attrs.fields(cls):
            # Values were valid when they were recorded; a converter must not run a second time.
            object.__setattr__(value, field.name, made[field.name] if field.name in made else _default(field, tag))
        return value


def _value(cls: type[Value], fields: Mapping[str, Any], tag: str) -> Value:
    try:
        return cls(**fields)
    except TypeError as error:
        raise NotRecordableError(f"{tag} is made of other fields: {error}") from error


def find_class(tag: str) -> Any:
    """The class that a document names.

    Raises:
        NotRecordableError: there is none, or it is none of ours.
    """
    module, _, name = tag.partition(":")
    if not module.startswith(TRUSTED):
        raise NotRecordableError(f"{tag!r} is no class of the domain")
    try:
        cls: Any = importlib.import_module(module)
        for part in name.split("."):
            cls = getattr(cls, part)
    except (ImportError, AttributeError) as error:
        raise NotRecordableError(f"{tag!r} does not exist in this program") from error
    if not isinstance(cls, type):
        raise NotRecordableError(f"{tag!r} is no class")
    return cls


def dump(engine: Engine, disguise: Disguise, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """All that the flight recorder of an engine holds, secrets replaced.

    Args:
        without: kinds of actors to leave out.
    """
    encoder, left_out = Encoder(disguise), frozenset(without)
    actors = [
        {"actor": str(ref), "turns": [_turn(encoder, entry) for entry in engine.history(ref)]}
        for ref in engine.recorded_actors()
        if ref.kind not in left_out
    ]
    told = {
        "format": FORMAT,
        "wall": engine.clock.wall(),
        "now": engine.clock.now(),
        "settings": encoder.encode(engine.settings),
        "actors": actors,
    }
    replaced: dict[str, Any] = replace_texts(told, disguise.derived)
    return replaced


def _turn(encoder: Encoder, entry: Recorded) -> dict[str, Any]:
    told = {
        "now": entry.now,
        "wall": entry.wall,
        "message": encoder.encode(entry.message),
        "outcome": entry.outcome,
        "effects": list(entry.effects),
        "draws": encoder.encode(list(entry.draws)),
        "new": entry.record is None,
    }
    if isinstance(entry.message, Checkpoint):
        told["record"] = encoder.encode(entry.record)
    return told


def replace_texts(value: Any, derived: Mapping[str, str]) -> Any:
    """`value` with every text that `derived` knows replaced, wherever it stands in a longer one too; of two that begin there, the longer.

    The work grows with the length of the texts (each counts once, however often it stands there), and not with how many are known: a
    platform with a thousand peers knows thousands.
    """
    wanted = sorted((text for text in derived if text), key=len, reverse=True)
    if not wanted:
        return value
    size = min(len(wanted[-1]), _BEGINNING_CHARS)
    beginnings: dict[str, list[str]] = {}
    for text in wanted:
        beginnings.setdefault(text[:size], []).append(text)

    def replaced(text: str) -> str:
        parts: list[str] = []
        done = at = 0
        while at <= len(text) - size:
            found = next((known for known in beginnings.get(text[at : at + size], ()) if text.startswith(known, at)), None)
            if found is None:
                at += 1
            else:
                parts += (text[done:at], derived[found])
                done = at = at + len(found)
        return "".join((*parts, text[done:])) if parts else text

    # The turns of one actor say the same certificates, addresses and ids over and over.
    seen: dict[str, str] = {}

    def walk(each: Any) -> Any:
        if isinstance(each, str):
            told = seen.get(each)
            if told is None:
                told = seen[each] = replaced(each)
            return told
        if isinstance(each, list):
            return [walk(item) for item in each]
        return {name: walk(item) for name, item in each.items()} if isinstance(each, dict) else each

    return walk(value)


def _default(field: Any, tag: str) -> Any:
    if field.default is attrs.NOTHING:
        raise NotRecordableError(f"{tag} needs {field.name}, which the recording does not have")
    factory = getattr(field.default, "factory", None)
    return field.default if factory is None else factory()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()

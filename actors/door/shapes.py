"""Shapes: one declaration of a JSON body or query string, read twice.

Lives here: strict parsing of hostile JSON text, the shapes that check a value and collect every problem in it, and their JSON Schema
(draft 2020-12, the dialect of OpenAPI 3.1). Must not live here: any rule that needs a record, a setting, the network or the time of day.

The same declaration refuses bad input and documents good input, so the two cannot drift apart. No message ever repeats a value that
the caller sent: it may be a secret in the wrong field.
"""

from __future__ import annotations

import abc
import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn

import attrs
import msgspec

from actors import limits
from actors.contract.record import parse_version
from actors.problems import PROBLEMS_REPORTED_MAX, Problem, refusal
from actors.sanitize import check_object
from runtime.clock import parse_iso
from runtime.errors import FaultError, OperatorFault
from runtime.ids import is_uuid
from runtime.secret import Secret
from runtime.values import evolve

NESTING_MAX: Final = 16
INTEGER_MAX: Final = 2**63 - 1
FIELD_NAME_CHARS_SHOWN: Final = 64
TEXT_CHARS_DEFAULT: Final = 1_024

assert limits.OBJECT_DEPTH_MAX < NESTING_MAX
assert len(str(INTEGER_MAX)) == 19

Schemas = dict[str, dict[str, Any]]
"""Named schemas gathered while a document is generated; they become `components/schemas`."""

Unknown = Literal["refuse", "ignore"]
"""What happens to a key that no field names: operators are told of a typo, remote platforms may be one version ahead."""


class _Absent:
    """The type of `ABSENT`: nothing was sent, which differs from null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
INVALID: Final = object()
"""Returned by `Shape.read` when it has noted a problem."""

UNSURE: Final = object()
"""Returned by `Shape.quick` for a value that is not plainly good."""


def refuse(problems: Sequence[Problem]) -> NoReturn:
    """Raise the one fault that tells all `problems`; its code and status are those of the first."""
    raise FaultError(refusal(problems))


@attrs.define
class Spot:
    """Where in the input a shape is reading, and how a bad value there is called.

    `code` and `status` name a value of the right type that is not acceptable, `type_code` and `type_status` one of the wrong type.
    """

    path: str
    code: str
    status: int
    type_code: str
    type_status: int
    problems: list[Problem]

    def bad_value(self, message: str) -> Any:
        """Note that the value is not acceptable."""
        self.problems.append(Problem(self.path, self.code, message, self.status))
        return INVALID

    def bad_type(self, expected: str) -> Any:
        """Note that the value is of the wrong JSON type."""
        self.problems.append(Problem(self.path, self.type_code, f"must be {expected}", self.type_status))
        return INVALID

    def inside(self, suffix: str) -> Spot:
        """A spot below this one; problems there keep this spot's codes."""
        return Spot(self.path + suffix, self.code, self.status, self.type_code, self.type_status, self.problems)

    def full(self) -> bool:
        """Whether enough problems are known, so that a body made of mistakes costs no more than a few."""
        return len(self.problems) > PROBLEMS_REPORTED_MAX


class Shape(abc.ABC):
    """One kind of value: how to check it and how to describe it."""

    @abc.abstractmethod
    def read(self, value: object, spot: Spot) -> Any:
        """The checked value, or `INVALID` after noting why not."""

    def quick(self, value: Any) -> Any:
        """What `read` gives for a value that is plainly good, else `UNSURE`. Most bodies are good, and then no place needs a name."""
        spot = _start()
        out = self.read(value, spot)
        return UNSURE if spot.problems else out

    def read_text(self, text: str, spot: Spot) -> Any:
        """As `read`, for a value out of a query string or a path."""
        return self.read(text, spot)

    def accepts(self, text: str) -> bool:
        """Whether a value out of a path is good; no problem is told."""
        spot = _start()
        self.read_text(text, spot)
        return not spot.problems

    @abc.abstractmethod
    def schema(self, schemas: Schemas) -> dict[str, Any]:
        """JSON Schema of the value; named parts are added to `schemas` and referred to."""


# With those of Unicode: terminals obey U+009B like Escape-[, and what reorders the text around it makes one name look like another.
_CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")
_LINE = re.compile(r"[\t\n\r]")


@attrs.frozen(kw_only=True)
class Text(Shape):
    """A string.

    Attributes:
        chars_min, chars_max: length in code points.
        pattern: the whole text must match it (the common subset of Python's and ECMAScript's expressions).
        lines: whether tabs and line breaks are allowed; other control characters, and such as reorder the text around them, never are.
        trim: whether surrounding white space is dropped first.
        format: the `format` keyword of the schema.
        secret: the checked value is a `Secret`, and the schema marks it write-only.
        convert: makes the checked value of an otherwise acceptable text, or raises `ValueError` with a sentence for the caller.
    """

    chars_min: int = 0
    chars_max: int = TEXT_CHARS_DEFAULT
    pattern: str | None = None
    lines: bool = False
    trim: bool = False
    format: str | None = None
    secret: bool = False
    convert: Callable[[str], Any] | None = None
    _compiled: re.Pattern[str] | None = attrs.field(init=False, eq=False, repr=False)

    @_compiled.default
    def _compile(self) -> re.Pattern[str] | None:
        return None if self.pattern is None else re.compile(self.pattern)

    def read(self, value: object, spot: Spot) -> Any:
        if not isinstance(value, str):
            return spot.bad_type("a string")
        text = value.strip() if self.trim else value
        wrong = self._wrong(text)
        if wrong is not None:
            return spot.bad_value(wrong)
        if self.convert is not None:
            try:
                return self.convert(text)
            except ValueError as error:
                return spot.bad_value(str(error))
        return Secret(text) if self.secret else text

    def quick(self, value: Any) -> Any:
        if type(value) is not str or self.trim or self.secret or self.convert is not None:
            return super().quick(value)
        if not self.chars_min <= len(value) <= self.chars_max or not value.isprintable():
            return UNSURE
        return value if self._compiled is None or self._compiled.fullmatch(value) is not None else UNSURE

    def _wrong(self, text: str) -> str | None:
        if len(text) > self.chars_max:
            return f"must have at most {self.chars_max} characters"
        if len(text) < self.chars_min:
            return f"must have at least {self.chars_min} characters" if self.chars_min > 1 else "must not be empty"
        if _CONTROL.search(text) or (not self.lines and _LINE.search(text)):
            return "must not contain control characters"
        if self._compiled is not None and self._compiled.fullmatch(text) is None:
            return f"must match {self.pattern}"
        return None

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "string", "maxLength": self.chars_max}
        if self.chars_min:
            out["minLength"] = self.chars_min
        if self.pattern is not None:
            out["pattern"] = f"^(?:{self.pattern})$"
        if self.format is not None:
            out["format"] = self.format
        if self.secret:
            out["format"] = "password"
        return out


@attrs.frozen
class Choice(Shape):
    """One of a fixed set of words."""

    words: tuple[str, ...]

    def read(self, value: object, spot: Spot) -> Any:
        if not isinstance(value, str):
            return spot.bad_type("a string")
        if value not in self.words:
            return spot.bad_value("must be one of " + ", ".join(self.words))
        return value

    def quick(self, value: Any) -> Any:
        return value if type(value) is str and value in self.words else UNSURE

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}


_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


@attrs.frozen
class Integer(Shape):
    """A whole number within bounds, both inclusive. A number with a fraction, even `.0`, is not one; nor is a boolean."""

    least: int = 0
    most: int = INTEGER_MAX

    def read(self, value: object, spot: Spot) -> Any:
        if type(value) is not int:
            return spot.bad_type("a whole number")
        if not self.least <= value <= self.most:
            return spot.bad_value(f"must be from {self.least} to {self.most}")
        return value

    def quick(self, value: Any) -> Any:
        return value if type(value) is int and self.least <= value <= self.most else UNSURE

    def read_text(self, text: str, spot: Spot) -> Any:
        return self.read(int(text), spot) if _DECIMAL.fullmatch(text) else spot.bad_type("a whole number")

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@attrs.frozen
class Number(Shape):
    """A finite number."""

    def read(self, value: object, spot: Spot) -> Any:
        if type(value) not in (int, float):
            return spot.bad_type("a number")
        return value

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "number"}


@attrs.frozen
class Boolean(Shape):
    """`true` or `false`; in a query string the same two words."""

    def read(self, value: object, spot: Spot) -> Any:
        return value if type(value) is bool else spot.bad_type("true or false")

    def read_text(self, text: str, spot: Spot) -> Any:
        return text == "true" if text in ("true", "false") else spot.bad_type("true or false")

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "boolean"}


@attrs.frozen
class Identifier(Shape):
    """A UUID in canonical lower-case text (RFC 9562)."""

    def read(self, value: object, spot: Spot) -> Any:
        if not isinstance(value, str):
            return spot.bad_type("a string")
        return value if is_uuid(value) else spot.bad_value("must be a UUID in lower case")

    def quick(self, value: Any) -> Any:
        return value if is_uuid(value) else UNSURE

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}


@attrs.frozen
class Instant(Shape):
    """A moment as RFC 3339 text with its zone; the checked value is seconds since the epoch."""

    def read(self, value: object, spot: Spot) -> Any:
        if not isinstance(value, str):
            return spot.bad_type("a string")
        wrong = "must be a time such as 2026-01-31T12:00:00Z"
        if len(value) > 40 or "T" not in value:
            return spot.bad_value(wrong)
        try:
            return parse_iso(value)
        except (ValueError, OverflowError):
            return spot.bad_value(wrong)

    def quick(self, value: Any) -> Any:
        if type(value) is not str or len(value) > 40 or "T" not in value:
            return UNSURE
        try:
            return parse_iso(value)
        except (ValueError, OverflowError):
            return UNSURE

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


@attrs.frozen
class ContractVersion(Shape):
    """A version of the social contract: `1`, `"1"` or `"v1"`; the checked value is the number."""

    def read(self, value: object, spot: Spot) -> Any:
        version = parse_version(value)
        return spot.bad_value("must be a contract version such as 1") if version is None else version

    def quick(self, value: Any) -> Any:
        version = parse_version(value)
        return UNSURE if version is None else version

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^v?[1-9][0-9]{0,5}$"}]}


@attrs.frozen
class ListOf(Shape):
    """An array. `distinct` refuses repeated elements. In a query string the elements are separated by commas."""

    element: Shape
    length_max: int
    length_min: int = 0
    distinct: bool = False

    def read(self, value: object, spot: Spot) -> Any:
        if not isinstance(value, list):
            return spot.bad_type("an array")
        return self._read(value, self.element.read, spot)

    def read_text(self, text: str, spot: Spot) -> Any:
        return self._read(text.split(","), self.element.read_text, spot)

    def _read(self, values: list[Any], read: Callable[[Any, Spot], Any], spot: Spot) -> Any:
        if len(values) > self.length_max:
            return spot.bad_value(f"must have at most {self.length_max} elements")
        if len(values) < self.length_min:
            return spot.bad_value(f"must have at least {self.length_min} elements")
        before = len(spot.problems)
        out = [read(value, spot.inside(f"[{index}]")) for index, value in enumerate(values) if not spot.full()]
        if len(spot.problems) > before:
            return INVALID
        if self.distinct and len(set(out)) < len(out):
            return spot.bad_value("must not repeat an element")
        return out

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "array", "items": self.element.schema(schemas), "maxItems": self.length_max}
        if self.length_min:
            out["minItems"] = self.length_min
        if self.distinct:
            out["uniqueItems"] = True
        return out


@attrs.frozen
class FreeObject(Shape):
    """An object whose keys are the sender's own, within the domain's limits on depth, keys, elements, text and size."""

    def read(self, value: object, spot: Spot) -> Any:
        found = check_object(value, spot.path, spot.code)
        spot.problems.extend(evolve(problem, status=spot.status) for problem in found)
        return INVALID if found else value

    def quick(self, value: Any) -> Any:
        return value if value == {} else UNSURE if check_object(value, "") else value

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {"type": "object", "maxProperties": limits.OBJECT_KEYS_MAX}


@attrs.frozen
class Parsed(Shape):
    """A value that a parser of the domain reads: `parse(value, problems, field)` appends what is wrong, with its own codes.

    `described` says how the documentation shows it.
    """

    parse: Callable[[object, list[Problem], str], Any]
    described: Shape

    def read(self, value: object, spot: Spot) -> Any:
        before = len(spot.problems)
        parsed = self.parse(value, spot.problems, spot.path)
        return INVALID if len(spot.problems) > before else parsed

    def quick(self, value: Any) -> Any:
        problems: list[Problem] = []
        parsed = self.parse(value, problems, "")
        return UNSURE if problems else parsed

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return self.described.schema(schemas)


@attrs.frozen
class Anything(Shape):
    """Any JSON value; for answers only, a body never takes it."""

    def read(self, value: object, spot: Spot) -> Any:
        return value

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        return {}


@attrs.frozen
class Field:
    """A named member of an object, or a parameter of a query string.

    Attributes:
        name: key on the wire.
        shape: what its value must be.
        required: whether it must be there; for text, blank counts as missing.
        nullable: whether null is a value (None).
        default: taken when the field is absent; without one an absent field is absent from the result too.
        code, status: answered for a value that is of the right type and not acceptable; an empty code inherits that of the
            surrounding field, and `invalid_parameter` (400) at the top.
        required_code, required_status: answered when it is missing.
        type_code: answered for the wrong JSON type, with 400 unless it is `code` itself.
        description: one sentence for the reader of the API's documentation.
        read_only: the field exists but this body may not set it; it is refused with `code` and left out of the schema.
    """

    name: str
    shape: Shape
    required: bool = attrs.field(default=False, kw_only=True)
    nullable: bool = attrs.field(default=False, kw_only=True)
    default: Any = attrs.field(default=ABSENT, kw_only=True)
    code: str = attrs.field(default="", kw_only=True)
    status: int = attrs.field(default=400, kw_only=True)
    required_code: str = attrs.field(default="invalid_parameter", kw_only=True)
    required_status: int = attrs.field(default=400, kw_only=True)
    type_code: str = attrs.field(default="invalid_parameter", kw_only=True)
    description: str = attrs.field(default="", kw_only=True)
    read_only: bool = attrs.field(default=False, kw_only=True)

    def spot(self, around: Spot) -> Spot:
        """Where this field is read: its own codes, or those of what surrounds it."""
        path = f"{around.path}.{self.name}" if around.path else self.name
        if not self.code:
            return Spot(path, around.code, around.status, around.type_code, around.type_status, around.problems)
        return Spot(path, self.code, self.status, self.type_code, self.status if self.type_code == self.code else 400, around.problems)

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        """The schema of the value, with what is said about the field itself."""
        out = self.shape.schema(schemas)
        notes: dict[str, Any] = {}
        if self.description:
            notes["description"] = self.description
        if self.default is not ABSENT:
            notes["default"] = self.default
        if isinstance(self.shape, Text) and self.shape.secret:
            notes["writeOnly"] = True
        if self.nullable:
            out = {"anyOf": [out, {"type": "null"}]}
        return {**out, **notes}


@attrs.frozen
class Object(Shape):
    """An object with named fields.

    Attributes:
        fields: in the order in which problems are told.
        name: name of the schema in the document; an unnamed object is written where it is used.
        unknown: what happens to other keys. `ignore` also takes a null for an absent field, as an older or newer remote may send it.
        rule: a check across fields of an otherwise good object; it yields the problems (paths relative to this object).
    """

    fields: tuple[Field, ...]
    name: str = attrs.field(default="", kw_only=True)
    unknown: Unknown = attrs.field(default="refuse", kw_only=True)
    rule: Callable[[Mapping[str, Any]], Sequence[Problem]] | None = attrs.field(default=None, kw_only=True)
    _names: frozenset[str] = attrs.field(init=False, eq=False, repr=False)
    # Per field: its name, how its value is read, what it is worth when absent and when null, and whether a blank will not do.
    _quickly: tuple[tuple[str, Callable[[Any], Any], Any, Any, bool], ...] = attrs.field(init=False, eq=False, repr=False)

    @_names.default
    def _collect_names(self) -> frozenset[str]:
        names = [field.name for field in self.fields]
        if len(set(names)) < len(names):
            raise ValueError(f"a field of {self.name or 'an object'} is declared twice")
        return frozenset(names)

    @_quickly.default
    def _prepare(self) -> tuple[tuple[str, Callable[[Any], Any], Any, Any, bool], ...]:
        return tuple(self._prepared(field) for field in self.fields)

    def _prepared(self, field: Field) -> tuple[str, Callable[[Any], Any], Any, Any, bool]:
        absent = UNSURE if field.required else field.default
        null = absent if self.unknown == "ignore" else UNSURE
        if field.nullable:
            null = UNSURE if field.read_only else None
        return field.name, _unsure if field.read_only else field.shape.quick, absent, null, field.required

    def read(self, value: object, spot: Spot) -> Any:
        if not isinstance(value, dict):
            return spot.bad_type("an object")
        before = len(spot.problems)
        out = {}
        for field in self.fields:
            if spot.full():
                break
            taken = self._read_field(field, value.get(field.name, ABSENT), spot)
            if taken is not ABSENT:
                out[field.name] = taken
        if self.unknown == "refuse" and not value.keys() <= self._names:
            self._tell_unknown(value, spot)
        if len(spot.problems) > before:
            return INVALID
        if self.rule is not None:
            spot.problems.extend(self.rule(out))
        return out if len(spot.problems) == before else INVALID

    def quick(self, value: Any) -> Any:
        if type(value) is not dict:
            return UNSURE
        out = {}
        for name, quick, absent, null, required in self._quickly:
            taken = value.get(name, ABSENT)
            if taken is ABSENT:
                taken = absent
            elif taken is None:
                taken = null
            elif required and type(taken) is str and not taken.strip():
                return UNSURE
            else:
                taken = quick(taken)
            if taken is UNSURE:
                return UNSURE
            if taken is not ABSENT:
                out[name] = taken
        if self.unknown == "refuse" and not value.keys() <= self._names:
            return UNSURE
        return UNSURE if self.rule is not None and self.rule(out) else out

    def _read_field(self, field: Field, value: Any, around: Spot) -> Any:
        if value is None and not field.nullable and self.unknown == "ignore":
            value = ABSENT
        blank = isinstance(value, str) and isinstance(field.shape, Text | Choice | Identifier) and not value.strip()
        if field.required and (value is ABSENT or blank or (value is None and not field.nullable)):
            path = field.spot(around).path
            around.problems.append(Problem(path, field.required_code, "is required", field.required_status))
            return ABSENT
        if value is ABSENT:
            return field.default
        if field.read_only:
            return field.spot(around).bad_value("cannot be changed here")
        if value is None and field.nullable:
            return None
        return field.shape.read(value, field.spot(around))

    def _tell_unknown(self, value: dict[str, Any], spot: Spot) -> None:
        for key in value:
            if spot.full():
                return
            if key in self._names:
                continue
            shown = key[:FIELD_NAME_CHARS_SHOWN]
            near = difflib.get_close_matches(shown, self._names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            path = f"{spot.path}.{shown}" if spot.path else shown
            spot.problems.append(Problem(path, "unknown_argument", f"is not known here{hint}", 400))

    def schema(self, schemas: Schemas) -> dict[str, Any]:
        if not self.name:
            return self._written_out(schemas)
        if self.name not in schemas:
            schemas[self.name] = {}
            schemas[self.name] = self._written_out(schemas)
        return {"$ref": f"#/components/schemas/{self.name}"}

    def _written_out(self, schemas: Schemas) -> dict[str, Any]:
        settable = [field for field in self.fields if not field.read_only]
        out: dict[str, Any] = {"type": "object", "properties": {field.name: field.schema(schemas) for field in settable}}
        required = [field.name for field in settable if field.required]
        if required:
            out["required"] = required
        if self.unknown == "refuse":
            out["additionalProperties"] = False
        return out


def _unsure(value: Any) -> Any:
    return UNSURE


def _start() -> Spot:
    return Spot("", "invalid_parameter", 400, "invalid_parameter", 400, [])


# --- JSON text ------------------------------------------------------------------------------------------------------


def _malformed(why: str) -> FaultError:
    return FaultError(OperatorFault("malformed_json", f"the body is not acceptable JSON: {why}", 400, {"problems": []}))


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise _malformed("an object repeats a key")
    return out


def _bounded_integer(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) > INTEGER_MAX:
        raise _malformed("a whole number is too large")
    return value


def _finite(digits: str) -> float:
    value = float(digits) if len(digits) <= 64 else math.inf
    if not math.isfinite(value):
        raise _malformed("a number is too large or too long")
    return value


def _no_constant(word: str) -> NoReturn:
    raise _malformed(f"{word} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_repeats, parse_int=_bounded_integer, parse_float=_finite, parse_constant=_no_constant
)


_QUICK_DECODER: Final = msgspec.json.Decoder()
_COMPACT: Final = msgspec.json.Encoder()
_DIGITS: Final = bytes(ord("0") if 0x30 <= byte <= 0x39 else ord(" ") for byte in range(256))
_LONG_NUMBER: Final = b"0" * len(str(INTEGER_MAX))
_SPACED_COLON: Final = re.compile(rb"\s:")


def parse_json(body: bytes) -> Any:
    """JSON text (RFC 8259) to plain values, refusing what parsers disagree on.

    Refused: bytes that are not UTF-8, a byte order mark, repeated keys, NaN and infinities, whole numbers beyond 64 bits, lone
    surrogates, nesting deeper than `NESTING_MAX`.

    Raises:
        FaultError: `malformed_json` (400).
    """
    value = _plain(body)
    return _parse_json(body) if value is UNSURE else value


def _plain(body: bytes) -> Any:
    """The object in a text of which it is plain that every parser reads the same, else `UNSURE`.

    That is so if the object, written again, is the very same text: then no key was repeated and nothing was read in one of several ways.
    Other texts are looked at. Without backslashes a quote always begins or ends a string, and without white space before colons every key
    ends in `":`. Then as many of these as there are keys in the result mean that none was repeated.
    """
    if body.count(b"{") + body.count(b"[") > NESTING_MAX:
        return UNSURE
    try:
        value = _QUICK_DECODER.decode(body)
        if type(value) is dict and _LONG_NUMBER not in body.translate(_DIGITS) and _COMPACT.encode(value) == body:
            return value
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return UNSURE
    if b"\\" in body or _SPACED_COLON.search(body) is not None:
        return UNSURE
    keys = _plain_keys(value) if type(value) is dict else -1
    return value if keys == body.count(b'":') else UNSURE


def _plain_keys(value: dict[str, Any]) -> int:
    """How many keys there are in an object and below; -1 if one of its values needs a closer look."""
    keys, pending = 0, [value]
    while pending:
        part: Any = pending.pop()
        if type(part) is dict:
            keys += len(part)
            part = part.values()
        for each in part:
            kind = type(each)
            if kind is dict or kind is list:
                pending.append(each)
            elif kind is float or (kind is int and not -INTEGER_MAX <= each <= INTEGER_MAX):
                return -1
    return keys


def _parse_json(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise _malformed("it is not UTF-8") from None
    openers = text.count("[") + text.count("{")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    if openers > NESTING_MAX or "\\u" in text:
        _walk(value)
    return value


def _walk(value: Any) -> None:
    """Refuse deep nesting and lone surrogates. The parser itself is safe against both; what comes after it need not be."""
    pending = [(value, 0)]
    while pending:
        part, depth = pending.pop()
        if isinstance(part, str):
            try:
                part.encode()
            except UnicodeEncodeError:
                raise _malformed("a string contains a lone surrogate") from None
        elif isinstance(part, dict | list):
            if depth >= NESTING_MAX:
                raise _malformed("it is nested too deeply")
            pending.extend((element, depth + 1) for element in (part if isinstance(part, list) else [*part, *part.values()]))


_JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)", re.ASCII)
_UTF_8 = re.compile(r"""charset\s*=\s*"?utf-?8"?""", re.ASCII | re.IGNORECASE)


def is_json(content_type: str | None) -> bool:
    """Whether a Content-Type names JSON in UTF-8 (RFC 9110, section 8.3; RFC 6839 for `+json`)."""
    if content_type is None or content_type == "application/json":
        return content_type is not None
    kind, *parameters = content_type.split(";")
    if _JSON_TYPE.fullmatch(kind.strip().lower()) is None:
        return False
    return all(_UTF_8.fullmatch(p.strip()) for p in parameters if "charset" in p.lower())


def read_body(shape: Object, body: bytes, content_type: str | None, bytes_max: int = limits.BODY_BYTES_MAX) -> dict[str, Any]:
    """The checked body. An empty body counts as `{}`, so that acts without arguments need none.

    Raises:
        FaultError: `body_too_large` (413), `unsupported_media_type` (415), `malformed_json` (400), or the code of the first of the
            problems found, all of which stand in `details.problems`.
    """
    if len(body) > bytes_max:
        raise FaultError(too_large(bytes_max))
    if not body:
        return read_value(shape, {})
    if not is_json(content_type):
        raise FaultError(OperatorFault("unsupported_media_type", "send the body as application/json in UTF-8", 415))
    value = parse_json(body)
    if not isinstance(value, dict):
        raise FaultError(OperatorFault("invalid_parameter", "the body must be a JSON object", 400, {"problems": []}))
    return read_value(shape, value)


def too_large(bytes_max: int) -> OperatorFault:
    """The refusal of a body beyond the limit of its route, in bytes."""
    return OperatorFault("body_too_large", f"the body is larger than {bytes_max} bytes", 413, {"bytes_max": bytes_max})


def read_value(shape: Object, value: Mapping[str, Any]) -> dict[str, Any]:
    """The checked object.

    Raises:
        FaultError: the code of the first problem found, all of which stand in `details.problems`.
    """
    out = shape.quick(value)
    if out is UNSURE:
        spot = _start()
        out = shape.read(value, spot)
        if spot.problems:
            refuse(spot.problems)
    read: dict[str, Any] = out
    return read


def read_query(fields: Sequence[Field], query: Mapping[str, str], unknown: Unknown = "refuse") -> dict[str, Any]:
    """The checked parameters of a query string; defaults fill what is absent, an empty value counts as absent.

    Raises:
        FaultError: `invalid_parameter` (400) or a field's own code; all problems stand in `details.problems`.
    """
    spot = _start()
    out = {}
    for field in fields:
        text = query.get(field.name, "")
        if text:
            out[field.name] = field.shape.read_text(text, field.spot(spot))
        elif field.default is not ABSENT:
            out[field.name] = field.default
        elif field.required:
            spot.problems.append(Problem(field.name, field.required_code, "is required", field.required_status))
    known = {field.name for field in fields}
    for key in query if unknown == "refuse" else ():
        if key not in known and not spot.full():
            spot.problems.append(Problem(key[:FIELD_NAME_CHARS_SHOWN], "invalid_parameter", "is not a parameter of this list", 400))
    if spot.problems:
        refuse(spot.problems)
    return out

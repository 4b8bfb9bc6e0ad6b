"""Invitations: what goes in comes out, and damage is found without asking anybody."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.certificates import pin_of_fingerprint
from actors.limits import INVITATION_CHARS_MAX, URL_CHARS_MAX
from actors.peer import invitation, tokens
from actors.peer.invitation import InvalidInvitation, Invitation
from runtime.secret import Secret

FINGERPRINT = "sha256:" + "0f" * 32
OTHER_FINGERPRINT = "sha256:" + "f0" * 32


def token(raw: bytes = bytes(32), fingerprint: str | None = FINGERPRINT) -> Secret:
    return tokens.mint(raw, pin_of_fingerprint(fingerprint) if fingerprint else None)


def sealed(body: object) -> str:
    """A well-formed string around any body, as an attacker would make it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    covered = "pn1." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode() + "."
    return covered + base64.urlsafe_b64encode(hashlib.sha256(covered.encode()).digest()).decode()[:8]


def body(**changes: Any) -> dict[str, Any]:
    return {"url": "https://a.example", "ca_fingerprint": FINGERPRINT, "token": token().reveal(), "contract_version": 1} | changes


@st.composite
def invitations(draw: st.DrawFn) -> Invitation:
    fingerprint = draw(st.none() | st.binary(min_size=32, max_size=32).map(lambda raw: "sha256:" + raw.hex()))
    label = draw(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True))
    port = draw(st.sampled_from(["", ":8443", ":1"]))
    raw = draw(st.binary(min_size=32, max_size=32))
    return Invitation(f"https://{label}.example{port}", fingerprint, token(raw, fingerprint), draw(st.integers(1, 999)))


@given(invitations(), st.text(" \t\r\n", max_size=4), st.text(" \t\r\n", max_size=4))
def test_what_goes_in_comes_out_whatever_white_space_surrounds_it(value: Invitation, before: str, after: str) -> None:
    text = invitation.encode(value)
    assert invitation.decode(before + text.reveal() + after) == value


@given(invitations(), st.data())
def test_any_single_changed_character_is_found(value: Invitation, data: st.DataObject) -> None:
    text = invitation.encode(value).reveal()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda char: char != text[place]))
    assert isinstance(invitation.decode(text[:place] + other + text[place + 1 :]), InvalidInvitation)


@given(invitations(), st.data())
def test_a_cut_invitation_is_found(value: Invitation, data: st.DataObject) -> None:
    text = invitation.encode(value).reveal()
    kept = data.draw(st.integers(0, len(text) - 1))
    assert isinstance(invitation.decode(text[:kept]), InvalidInvitation)


@given(st.text() | st.none() | st.integers() | st.binary())
def test_any_other_input_is_refused_as_no_invitation(value: object) -> None:
    assert invitation.decode(value) == InvalidInvitation("shape")


def test_the_reason_says_what_happened_to_it() -> None:
    text = invitation.encode(Invitation("https://a.example", FINGERPRINT, token(), 1)).reveal()
    swapped = text[:10] + ("A" if text[10] != "A" else "B") + text[11:]
    reasons = [invitation.decode(candidate) for candidate in (swapped, "pn2" + text[3:], text.replace(".", ""))]
    assert reasons == [InvalidInvitation("checksum"), InvalidInvitation("version"), InvalidInvitation("shape")]


def test_the_refusal_carries_the_reason_and_not_the_text() -> None:
    fault = InvalidInvitation("checksum").to_fault()
    assert (fault.code, fault.status, fault.details) == ("invalid_invitation", 422, {"reason": "checksum"})


def test_keys_of_a_later_release_are_ignored() -> None:
    assert isinstance(invitation.decode(sealed(body(colour="blue"))), Invitation)


@pytest.mark.parametrize(
    "hostile",
    [
        body(url="http://a.example"),
        body(url="https://user@a.example"),
        body(url=None),
        body(ca_fingerprint="sha256:0F"),
        body(ca_fingerprint=7),
        body(ca_fingerprint=OTHER_FINGERPRINT),  # not the authority that the token pins
        body(token="A" * 42),
        body(token=None),
        body(contract_version=0),
        body(contract_version=True),
        [body()],
        b"not json",
        b"\xff\xfe",
        b"[" * 2000,
        b'{"contract_version":' + b"9" * 1500 + b"}",
    ],
)
def test_a_well_formed_string_around_bad_contents_is_refused(hostile: object) -> None:
    assert invitation.decode(sealed(hostile)) == InvalidInvitation("shape")


def test_a_url_in_another_spelling_comes_out_canonical() -> None:
    found = invitation.decode(sealed(body(url="HTTPS://A.example:443/")))
    assert isinstance(found, Invitation)
    assert found.url == "https://a.example"


def test_the_longest_input_is_bounded_before_any_work() -> None:
    good = invitation.encode(Invitation("https://a.example", FINGERPRINT, token(), 1)).reveal()
    assert isinstance(invitation.decode(good.rjust(INVITATION_CHARS_MAX)), Invitation)
    assert invitation.decode(good.rjust(INVITATION_CHARS_MAX + 1)) == InvalidInvitation("shape")


def test_encoding_refuses_what_could_not_be_decoded() -> None:
    for url in ("https://a.example/", "http://a.example", "https://" + "a" * URL_CHARS_MAX):
        with pytest.raises(ValueError, match="valid invitation"):
            invitation.encode(Invitation(url, FINGERPRINT, token(), 1))


def test_an_invitation_shows_its_token_to_nobody() -> None:
    value = Invitation("https://a.example", FINGERPRINT, token(), 1)
    assert token().reveal()[:43] not in f"{value!r} {value} {invitation.encode(value)!r}"

"""Reading the server name: as TLS libraries write it, cut anywhere, and out of anything that a stranger may send."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from net.client_hello import (
    CLIENT_HELLO_BYTES_MAX,
    INTERNAL_ERROR,
    RECORDS_MAX,
    UNRECOGNIZED_NAME,
    ClientHello,
    NoClientHello,
    alert,
    read_client_hello,
    refused_by_alert,
    refused_by_hub,
)

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join).filter(lambda name: not name.rpartition(".")[2].isdigit())


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False


def hello_of(name: str | None) -> bytes:
    """The first flight that the standard library sends."""
    outgoing = ssl.MemoryBIO()
    connection = CONTEXT.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = hello_of("b.example.com")


def in_records(message: bytes, *sizes: int) -> bytes:
    """A handshake message cut into records of these sizes; the last record holds the rest."""
    found, at = b"", 0
    for size in (*sizes, len(message)):
        piece = message[at : at + size]
        if piece:
            found += b"\x16\x03\x01" + len(piece).to_bytes(2) + piece
        at += size
    return found


def hello_with(*extensions: tuple[int, bytes]) -> bytes:
    """A ClientHello with these extensions and nothing else."""
    listed = b"".join(kind.to_bytes(2) + len(content).to_bytes(2) + content for kind, content in extensions)
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00" + len(listed).to_bytes(2) + listed
    return in_records(b"\x01" + len(body).to_bytes(3) + body)


def server_name(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    listed = b"".join(bytes((kind,)) + len(name).to_bytes(2) + name for name in names)
    return 0, len(listed).to_bytes(2) + listed


@given(NAMES)
def test_the_name_is_the_one_that_the_library_was_given(name: str) -> None:
    assert read_client_hello(hello_of(name)) == ClientHello(name)


def test_openssl_agrees_with_us_about_its_own_hello() -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    connection.set_tlsext_host_name(b"B.Example.COM")
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    assert read_client_hello(connection.bio_read(CLIENT_HELLO_BYTES_MAX)) == ClientHello("b.example.com")


def test_a_hello_without_a_name_asks_for_nobody() -> None:
    assert read_client_hello(hello_of(None)) == ClientHello(None)
    assert read_client_hello(hello_with()) == ClientHello(None)


@given(st.integers(0, len(HELLO) - 1))
def test_a_beginning_is_never_taken_for_the_whole(cut: int) -> None:
    assert read_client_hello(HELLO[:cut]) is None


@given(st.lists(st.integers(1, 200), max_size=RECORDS_MAX - 1))
def test_records_may_cut_it_anywhere(sizes: list[int]) -> None:
    assert read_client_hello(in_records(HELLO[5:], *sizes)) == ClientHello("b.example.com")


def test_it_may_not_be_cut_into_too_many_records() -> None:
    with pytest.raises(NoClientHello, match="too_many_records"):
        read_client_hello(in_records(HELLO[5:], *([1] * RECORDS_MAX)))


@given(st.binary(max_size=600))
def test_anything_is_read_refused_or_unfinished(data: bytes) -> None:
    try:
        read_client_hello(data)
    except NoClientHello:
        return


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255), st.binary(max_size=4))
def test_a_damaged_hello_is_read_refused_or_unfinished(place: int, value: int, more: bytes) -> None:
    damaged = HELLO[:place] + bytes((value,)) + HELLO[place + 1 :] + more
    try:
        found = read_client_hello(damaged)
    except NoClientHello:
        return
    assert found is None or found.server_name is None or found.server_name == found.server_name.lower()


@given(st.binary(min_size=1, max_size=64))
def test_nothing_may_follow_the_hello(more: bytes) -> None:
    with pytest.raises(NoClientHello):
        read_client_hello(in_records(HELLO[5:] + more))


@pytest.mark.parametrize(
    "extensions",
    [
        (server_name(b"a.example", b"b.example"),),
        (server_name(b"a.example"), server_name(b"b.example")),
        (server_name(b"a.example", kind=1),),
        (server_name(b""),),
        (server_name(b"a.example."),),
        (server_name(b"a..example"),),
        (server_name(b"a example"),),
        (server_name(b"a.example\n"),),
        (server_name(b"a.example\0.evil"),),
        (server_name(b"-a.example"),),
        (server_name("ä.example".encode()),),
        (server_name(b"a" * 64 + b".example"),),
        (server_name(b".".join([b"a" * 60] * 5)),),
        ((0, b""),),
        ((0, b"\x00\x00"),),
        ((0, b"\x00\x04\x00\x00\x01aX"),),
    ],
)
def test_a_name_that_two_readers_could_read_differently_is_refused(extensions: tuple[tuple[int, bytes], ...]) -> None:
    with pytest.raises(NoClientHello, match="malformed"):
        read_client_hello(hello_with(*extensions))


@given(st.binary(max_size=64))
def test_what_follows_in_records_of_its_own_is_not_looked_at(more: bytes) -> None:
    early = HELLO + b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03" + len(more).to_bytes(2) + more
    assert read_client_hello(early) == ClientHello("b.example.com")


@given(st.binary(max_size=300))
def test_where_a_name_is_hidden_or_seems_to_be_the_one_that_shows_counts(hidden: bytes) -> None:
    assert read_client_hello(hello_with(server_name(b"front.example"), (0xFE0D, hidden))) == ClientHello("front.example")


def test_a_hello_beyond_the_bound_is_refused_before_it_has_arrived() -> None:
    declared = b"\x16\x03\x01\x40\x00" + b"\x01" + CLIENT_HELLO_BYTES_MAX.to_bytes(3)
    with pytest.raises(NoClientHello, match="client_hello_too_large"):
        read_client_hello(declared)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x02", b"\x16\x03\x01\x00\x00"])
def test_what_is_not_tls_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(NoClientHello):
        read_client_hello(data)


@pytest.mark.parametrize(("description", "words"), [(UNRECOGNIZED_NAME, "unrecognized name"), (INTERNAL_ERROR, "internal error")])
def test_an_alert_is_understood_by_the_library(description: int, words: str) -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    connection.bio_write(alert(description))
    with pytest.raises(SSL.Error, match=words) as caught:
        connection.do_handshake()
    assert refused_by_hub(caught.value.args[0][0][-1])
    assert refused_by_alert(caught.value.args[0][0][-1])
    assert not refused_by_hub("tlsv1 alert protocol version")


def test_a_refusal_in_an_alert_is_told_from_what_a_server_shows() -> None:
    assert refused_by_alert("ssl/tls alert handshake failure")
    assert not any(map(refused_by_alert, ("wrong version number", "bad signature", "record layer failure", "digest check failed")))

"""OpenSSL carries every client certificate of the table to the server octet for octet, so that the judgement is ours alone.

Must not live here: the judgement.
"""

from __future__ import annotations

import pytest
from OpenSSL import SSL, crypto

from tests.support.certificates import CASES, Case, PeerPki, Presented, make_ca, p256_key


def _pump(client: SSL.Connection, server: SSL.Connection) -> None:
    done: set[SSL.Connection] = set()
    while len(done) < 2:
        before = len(done)
        moved = False
        for ours, theirs in ((client, server), (server, client)):
            try:
                ours.do_handshake()
                done.add(ours)
            except SSL.WantReadError:
                pass
            while True:
                try:
                    theirs.bio_write(ours.bio_read(65_536))
                    moved = True
                except SSL.WantReadError:
                    break
        assert moved or len(done) > before, "the handshake stands still"


def _presented(presented: Presented) -> list[bytes]:
    chain, key = presented
    ca = make_ca("server", key=p256_key("server"))
    server_context = SSL.Context(SSL.TLS_SERVER_METHOD)
    server_context.use_certificate(crypto.X509.from_cryptography(ca.certificate))
    server_context.use_privatekey(crypto.PKey.from_cryptography_key(ca.key))
    server_context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if chain:
        loaded = [crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in chain]
        client_context.use_certificate(loaded[0])
        client_context.use_privatekey(crypto.PKey.from_cryptography_key(key))
        for certificate in loaded[1:]:
            client_context.add_extra_chain_cert(certificate)
    client, server = SSL.Connection(client_context, None), SSL.Connection(server_context, None)
    client.set_connect_state()
    server.set_accept_state()
    _pump(client, server)
    leaf = server.get_peer_certificate()
    received = [] if leaf is None else [leaf, *(server.get_peer_cert_chain() or [])]
    return [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in received]


# pyOpenSSL would rather be given parsed certificates, but a parser refuses some of these.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", [case for case in CASES if case.over_tls], ids=lambda case: case.name)
def test_the_server_sees_what_the_client_presented(case: Case) -> None:
    presented = case.build(PeerPki.make())
    assert _presented(presented) == presented[0]

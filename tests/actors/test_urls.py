"""Base URLs: one text per platform, and nothing that a resolver could read in another way."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.limits import URL_CHARS_MAX
from actors.urls import canonical_url, host_of, port_of

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?(\.[A-Za-z][A-Za-z0-9]{1,8}){1,3}\.?", fullmatch=True)
hosts = names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]")
ports = st.none() | st.integers(1, 65_535)


@given(hosts, ports, st.sampled_from(["https", "HTTPS", "Https"]), st.sampled_from(["", "/"]))
def test_canonical_is_idempotent_and_keeps_host_and_port(host: str, port: int | None, scheme: str, tail: str) -> None:
    url = canonical_url(f"{scheme}://{host}{'' if port is None else f':{port}'}{tail}")
    assert canonical_url(url) == url
    assert port_of(url) == (port or 443)
    if host.startswith("["):
        assert ipaddress.ip_address(host_of(url)) == ipaddress.ip_address(host[1:-1])
    else:
        assert host_of(url) == host.lower().removesuffix(".")


@given(st.text(max_size=40) | st.text(max_size=40).map(lambda text: f"https://{text}"))
def test_any_text_is_refused_or_becomes_a_stable_plain_url(text: str) -> None:
    try:
        url = canonical_url(text)
    except ValueError:
        return
    assert url == canonical_url(url)
    assert url.isascii()
    assert not set(host_of(url)) & set("/\\?#@ []%")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Platform-B.Example.com:443/", "https://platform-b.example.com"),
        ("https://a.example:08443", "https://a.example:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example.", "https://xn--bcher-kva.example"),
        ("https://１２７.0.0.1", "https://127.0.0.1"),
        ("https://[2001:DB8:0:0::1]:9443", "https://[2001:db8::1]:9443"),
        ("https://localhost:7443", "https://localhost:7443"),
    ],
)
def test_spellings_of_one_platform_meet(text: str, url: str) -> None:
    assert canonical_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "a.example",
        "//a.example",
        "http://a.example",
        "ftp://a.example",
        "https://",
        "https:///path",
        "https://a.example/api",
        "https://a.example//",
        "https://a.example?x=1",
        "https://a.example/?",
        "https://a.example#top",
        "https://user@a.example",
        "https://user:word@a.example",
        "https://@a.example",
        "https://a.example:",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:٤٤٣",
        "https://a.example:-1",
        "https://a..example",
        "https://.example",
        "https://-a.example",
        "https://a%2eexample",
        "https://a.exa mple",
        "https://a.example\n",
        "https://a\\.example",
        "https://a.example\x00",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.0.0.1",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://1.2.3.4.5",
        "https://a.example.5",
        "https://[::1",
        "https://::1",
        "https://[fe80::1%25eth0]",
        "https://[127.0.0.1]",
        "https://" + "a" * 64 + ".example",
    ],
)
def test_what_is_no_base_url_is_refused(text: object) -> None:
    with pytest.raises(ValueError):
        canonical_url(text)


def test_a_url_has_an_exact_limit() -> None:
    padded = "https://a.example:" + "443"
    longest = padded + "/" * (URL_CHARS_MAX - len(padded))
    with pytest.raises(ValueError, match="base URL"):
        canonical_url(longest)
    with pytest.raises(ValueError, match="longer"):
        canonical_url(longest + "/")


def test_refusals_never_repeat_the_text() -> None:
    with pytest.raises(ValueError) as caught:
        canonical_url("https://operator:hunter2@a.example")
    assert "hunter2" not in str(caught.value)

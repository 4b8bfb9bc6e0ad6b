"""The frozen snapshot of settings that handlers read as `ctx.settings`.

Lives here: what the domain may be told by its operator, with defaults. Must not live here: parsing of files, environment or flags
(`api.configuration`), or anything secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from actors.limits import OVERLAP_DAYS_DEFAULT


@attrs.frozen
class Identity:
    """Who this platform is. The CA's private key is behind the `Authority` port; `ca_bundle_pem` is what peers are given.

    Attributes:
        instance_id: UUID made at first start, never changed.
        url: canonical public base URL, `https`.
        ca_bundle_pem: our root certificate(s), PEM.
        ca_fingerprint: `sha256:<64 hex>` of the root.
        ca_pin: 22 characters that pin the root in tokens, or None if our listener shows a public certificate.
        boot_epoch: rises by one with every start of the process and with every restore.
        restored_at_epoch: the boot epoch that the newest restore by command made; 0 if there was none.
        start_mark: drawn by chance at each start, so that two starts under one epoch can be told apart; 0 if there is none.
        history: how many events the store held when the process started. Whatever an earlier start has told of is among them.
    """

    instance_id: str
    url: str
    ca_bundle_pem: str
    ca_fingerprint: str
    ca_pin: str | None
    boot_epoch: int = 1
    restored_at_epoch: int = 0
    account_id: str = ""
    start_mark: int = 0
    history: int = 0


@attrs.frozen
class Limit:
    """A token bucket: `rate` calls per `per_s` seconds with a burst of `burst`."""

    rate: int
    per_s: float
    burst: int


DEFAULT_RATE_LIMITS: Mapping[str, Limit] = {
    "accept_per_source": Limit(10, 60.0, 5),
    "accept_overall": Limit(60, 60.0, 60),
    "heartbeat_per_peer": Limit(6, 60.0, 3),
    "trust_bundle_per_peer": Limit(30, 60.0, 30),
    "resources_per_peer": Limit(600, 60.0, 60),
    "catalog_per_peer": Limit(60, 60.0, 30),
    "subscriptions_per_peer": Limit(30, 60.0, 30),
    "grants_per_peer": Limit(30, 60.0, 30),
    "channels_per_peer": Limit(12, 60.0, 6),
    "peer_events_per_peer": Limit(30, 60.0, 30),
    "relayed_per_peer": Limit(600, 60.0, 64),
    "certificate_per_peer": Limit(5, 3600.0, 5),
    "audit_excerpts_per_peer": Limit(12, 3600.0, 12),
    "propose_per_operator": Limit(30, 3600.0, 30),
    "regenerate_per_peer": Limit(10, 3600.0, 10),
    "unknown_certificate_per_source": Limit(30, 60.0, 30),
    "login_per_source": Limit(10, 60.0, 10),
}


@attrs.frozen
class FederationSettings:
    """Settings under `federation.`; durations in seconds."""

    heartbeat_interval_s: float = 60.0
    heartbeat_eager: bool = True
    peer_channel: bool = True
    hub_enabled: bool = False
    hub_connections: int = 256
    hub_connections_per_peer: int = 32
    hub_connections_per_source: int = 32
    hub_new_connections_per_peer: int = 600
    hub_new_connections_per_source: int = 120
    hub_denied_sources: tuple[str, ...] = ()
    hub_rate_bytes: int = 16_777_216
    hub_rate_bytes_per_peer: int = 4_194_304
    hub_idle_s: float = 120.0
    hub_open_s: float = 5.0
    stale_after_s: float = 300.0
    decision_dedup_s: float = 600.0
    probe_connect_s: float = 0.2
    request_timeout_s: float = 10.0
    request_deadline_s: float = 45.0
    token_ttl_s: int = 604_800
    cert_ttl_s: float = 90 * 86_400.0
    cert_warn_s: float = 30 * 86_400.0
    cert_renew_at_s: float = 35 * 86_400.0
    cert_auto_renew: bool = True
    anchor_overlap_s: float = OVERLAP_DAYS_DEFAULT * 86_400.0
    managed_grant_ttl_s: float = 365 * 86_400.0
    revocation_grace_s: float = 300.0
    audit_boundary_s: float = 30 * 86_400.0
    audit_retention_s: float = 0.0
    approval_timeout_s: float = 4 * 3_600.0
    accept_without_trust: Literal["inert", "refuse"] = "inert"
    require_identity_disclosure: bool = False
    allowed_networks: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    data_residency: str = "unknown"
    residency_mode: Literal["permissive", "warn", "refuse"] = "permissive"
    residency_unknown: Literal["allow", "refuse"] = "allow"
    operator_contact: str = ""
    jurisdiction: str = ""
    prefix: str | None = None
    extension_slugs: tuple[str, ...] = ()
    capabilities: Mapping[str, object] = attrs.field(factory=dict)
    advertised_endpoints: tuple[Mapping[str, object], ...] = ()
    rate_limits: Mapping[str, Limit] = attrs.field(factory=lambda: dict(DEFAULT_RATE_LIMITS))
    accept_block_after: int = 5
    accept_block_s: float = 900.0


@attrs.frozen
class Settings:
    """Everything a handler may read about its platform."""

    identity: Identity
    federation: FederationSettings = attrs.field(factory=FederationSettings)
    platform_version: str = "0.1.0"
    release_tag: str = ""
    worker_token_digest: str | None = None

"""Named limits of the domain, with the relations between them asserted at import.

Lives here: every number that bounds a message, a list, a name or a time and is not a setting. Must not live here: settings.
"""

from __future__ import annotations

from typing import Final

DAY_S: Final = 86_400.0

# Acceptance tokens (federation protocol: single use, 256 bits).
TOKEN_SECRET_BYTES: Final = 32
TOKEN_SECRET_CHARS: Final = 43
TOKEN_PIN_CHARS: Final = 22
TOKEN_TTL_MIN_S: Final = 60
TOKEN_TTL_DEFAULT_S: Final = 604_800
TOKEN_TTL_MAX_S: Final = 2_592_000
SEALED_TOKEN_KEPT_S: Final = DAY_S
INVITATION_CHARS_MAX: Final = 4_096
RECEIPT_KEPT_S: Final = 900.0

# Certificates.
SKEW_MAX_S: Final = 600.0
NOT_BEFORE_BACKDATE_S: Final = 300.0
BUNDLE_CERTIFICATES_MAX: Final = 8
BUNDLE_BYTES_MAX: Final = 65_536
CERTIFICATE_BYTES_MAX: Final = 8_192
CERTIFICATES_REMEMBERED: Final = 8_192
CERTIFICATES_PARSED: Final = 256
CSR_CHARS_MAX: Final = 8_192
ISSUED_CERTIFICATES_MAX: Final = 8
SERVER_CHAIN_MAX: Final = 8
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 8_192

# Rotation of a certificate authority.
OVERLAP_DAYS_MIN: Final = 1
OVERLAP_DAYS_DEFAULT: Final = 7
OVERLAP_DAYS_MAX: Final = 30
ROTATION_LOOK_S: Final = 60.0
GIVEN_UP_MAX: Final = 1_000
FORMER_ROOTS_MAX: Final = 64
"""Roots of ours that have ended and are remembered, so that none of them becomes the anchor of a remote."""
ROTATION_PEERS_SHOWN_MAX: Final = 2_000
ROTATION_PEERS_ANSWERED_MAX: Final = 100
"""Peers named by the status of a rotation, and by the answers to what changes it: those first who have not followed."""

FOLLOW_PARENT_AGAIN_S: Final = 900.0
"""Between two requests of a child for a certificate under its parent's next root; `certificate_per_peer` allows five an hour."""

BUNDLE_POLLED_EVERY_S: Final = 3_600.0
BUNDLE_POLLED_AGAIN_S: Final = 60.0

# Text and objects from a remote.
URL_CHARS_MAX: Final = 2_048
NAME_CHARS_MAX: Final = 64
DISCLOSURE_CHARS_MAX: Final = 256
ENDPOINTS_MAX: Final = 16
ENDPOINT_HUBS_MAX: Final = 4
"""Hubs that may be named for one endpoint."""
ENDPOINT_WAYS_MAX: Final = 16
"""Ways that all endpoints of a peer may amount to, so that a list cannot have us dial the world."""
ENDPOINT_PRIORITY_MAX: Final = 65_535
ENDPOINT_ERROR_CHARS_MAX: Final = 200
EXTENSION_SLUGS_MAX: Final = 64
OBJECT_DEPTH_MAX: Final = 5
OBJECT_KEYS_MAX: Final = 50
ARRAY_ELEMENTS_MAX: Final = 64
STRING_BYTES_MAX: Final = 1_024
OBJECT_BYTES_MAX: Final = 16_384

# Bodies at the door.
BODY_BYTES_MAX: Final = 65_536
ACCEPT_BODY_BYTES_MAX: Final = 131_072
REPLY_BYTES_MAX: Final = 1_048_576

# Probing.
PROBE_CANDIDATES_MAX: Final = 10
PROBE_HANDSHAKE_S: Final = 1.0
PROBE_FAILURES_TO_UNREACHABLE: Final = 3
ENDPOINT_CHOICE_KEPT_S: Final = 60.0

# Handshake and heartbeats.
RIVALS_WAITING_MAX: Final = 256
ACCEPT_RETRY_DELAYS_S: Final = (1.0, 2.0, 4.0)
HEARTBEAT_EARLY_RETRY_DELAYS_S: Final = (1.0, 2.0, 4.0)
HEARTBEAT_JITTER: Final = 0.1
CLOCK_SKEW_WARNING_S: Final = 300.0
STUCK_ACCEPTED_S: Final = 180.0
BEHIND_ROTATION_S: Final = 3_600.0
ASYMMETRIC_HEARTBEAT_S: Final = 300.0
DEGRADED_PROLONGED_S: Final = DAY_S
EPOCH_FLIPS_TO_CONFLICT: Final = 2
EPOCH_FLIPS_FORGOTTEN_S: Final = DAY_S
"""Without another one for so long, former ones count no more: one late message a year is no second sender."""
IDENTITY_CONFLICT_SHOWN_S: Final = 3_600.0
"""How long after the last one two senders are still told of."""
GOVERNANCE_INTERVAL_S: Final = 300.0
GOVERNANCE_SETTLE_S: Final = 60.0
GOVERNANCE_SLICE: Final = 200
CAPABILITY_CHANGES_PER_HOUR_MAX: Final = 6
"""Changes of what a peer declares within an hour; more of them are a finding."""
FINDINGS_OPEN_MAX: Final = 5_000
FINDINGS_RESOLVED_MAX: Final = 1_000
FINDINGS_RESOLVED_KEPT_S: Final = 7 * DAY_S
LIVENESS_INTERVAL_S: Final = 60.0

PEERS_SWEPT_MAX: Final = 10_000
"""Silent peers that one sweep looks at; the next one takes those that are left."""

TRUSTED_PROXIES_MAX: Final = 64

# The end of a peering.
LAST_WORD_TRIES: Final = 3
LAST_WORD_RETRY_S: Final = 10.0
OWED_NOTICE_RETRY_S: Final = 30.0
OWED_NOTICE_RETRY_MAX_S: Final = 3_600.0
TOMBSTONE_S: Final = 7 * DAY_S
PEER_EVENTS_REMEMBERED: Final = 64
PEER_EVENT_REASON_CHARS_MAX: Final = 512
DEPENDANTS_SLICE: Final = 200
DEPENDANTS_LOOK_S: Final = 1.0
DEPENDANTS_LOOK_MAX_S: Final = 64.0

# Grants.
GRANT_TTL_DEFAULT_S: Final = 30 * DAY_S
GRANT_TTL_DAYS_MIN: Final = 7
GRANT_TTL_DAYS_MAX: Final = 365
GRANT_TTL_SECONDS_MIN: Final = 3_600
GRANT_TTL_SECONDS_MAX: Final = 604_800
GRANT_ARCHIVED_AFTER_S: Final = 90 * DAY_S
GRANT_AXIS_ENTRIES_MAX: Final = 64
GRANT_SUBJECT_CHARS_MAX: Final = 256
GRANT_LABEL_CHARS_MAX: Final = 256
GRANT_REASON_CHARS_MAX: Final = 256
GRANT_METADATA_BYTES_MAX: Final = 8_192
GRANT_KIND_CHARS_MAX: Final = 64
GRANT_OVERLAP_MAX_S: Final = 86_400
GRANT_REVOCATION_GRACE_S: Final = 300.0
GRANT_TESTS_MAX: Final = 64
GRANT_DECISIONS_REMEMBERED: Final = 10_000
GRANT_DENIALS_TOLD_EVERY_S: Final = 60.0
GRANT_DENIAL_SOURCES_MAX: Final = 256
GRANT_USE_TOLD_EVERY_S: Final = 3_600.0
GRANT_USAGE_WRITTEN_EVERY_S: Final = 60.0
GRANT_USES_GATHERED_S: Final = 1.0

# Grants that others gave us.
RECEIVED_GRANTS_PER_PEER_MAX: Final = 256
GRANTS_ANNOUNCED_PER_PEER_MAX: Final = 64
"""Grants of one peer that are shown although their bearer has not come. They take no place from those that are held."""
RECEIVED_GRANT_ROWS_MAX: Final = RECEIVED_GRANTS_PER_PEER_MAX + GRANTS_ANNOUNCED_PER_PEER_MAX
RECEIVED_GRANT_KEPT_S: Final = 7 * DAY_S
"""How long a bearer outlives its expiry, so that an operator sees what has become of it."""
RECEIVED_GRANTS_TRIED_MAX: Final = 3
"""Bearers that one read presents at most, one after the other, when the issuer says of each that it has ended."""
RESOURCES_REPLY_BYTES_MAX: Final = 4 * 1_048_576 + 65_536
"""An answer of a peer's resources endpoints: a whole page of 4 MiB within its envelope."""

# Operator surface.
PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
FINDINGS_LISTED_MAX: Final = 10_000
IDEMPOTENCY_KEPT_S: Final = DAY_S
IDEMPOTENCY_KEY_CHARS_MAX: Final = 255
ACCESS_TOKEN_TTL_S: Final = 900.0
ACCESS_TOKEN_CHARS_MAX: Final = 8_192
ACCESS_TOKEN_PERMISSIONS_MAX: Final = 512
ACCESS_TOKENS_REMEMBERED: Final = 1_024
CLOCK_STEP_MAX_S: Final = 60.0
REFRESH_TOKEN_TTL_S: Final = 30 * DAY_S
PASSWORD_CHARS_MIN: Final = 12
PASSWORD_BYTES_MAX: Final = 1_024
SESSIONS_MAX: Final = 20

assert TOKEN_TTL_MIN_S <= TOKEN_TTL_DEFAULT_S <= TOKEN_TTL_MAX_S
assert GRANT_USES_GATHERED_S < GRANT_USAGE_WRITTEN_EVERY_S < GRANT_USE_TOLD_EVERY_S
assert GRANT_TTL_SECONDS_MAX == GRANT_TTL_DAYS_MIN * DAY_S
assert GRANT_TTL_SECONDS_MIN <= GRANT_TTL_DEFAULT_S <= GRANT_TTL_DAYS_MAX * DAY_S
assert GRANT_METADATA_BYTES_MAX < OBJECT_BYTES_MAX < BODY_BYTES_MAX
assert BODY_BYTES_MAX <= ACCEPT_BODY_BYTES_MAX <= REPLY_BYTES_MAX
assert BUNDLE_BYTES_MAX < ACCEPT_BODY_BYTES_MAX
assert REPLY_BYTES_MAX < RESOURCES_REPLY_BYTES_MAX
assert SKEW_MAX_S < RECEIVED_GRANT_KEPT_S
assert OBJECT_BYTES_MAX < BODY_BYTES_MAX
assert PAGE_DEFAULT <= PAGE_MAX
assert GOVERNANCE_SETTLE_S < GOVERNANCE_INTERVAL_S < FINDINGS_RESOLVED_KEPT_S
assert FINDINGS_OPEN_MAX + FINDINGS_RESOLVED_MAX <= FINDINGS_LISTED_MAX
assert CERTIFICATE_BYTES_MAX * BUNDLE_CERTIFICATES_MAX <= BUNDLE_BYTES_MAX
assert CSR_CHARS_MAX < BODY_BYTES_MAX
assert CLOCK_STEP_MAX_S < ACCESS_TOKEN_TTL_S
# Base64 makes four characters of three; 512 hold the other parts of an invitation.
assert (URL_CHARS_MAX + 512) * 4 / 3 < INVITATION_CHARS_MAX
assert sum(ACCEPT_RETRY_DELAYS_S) < 45.0

SHIPMENT_ENTRIES_MAX: Final = 5_000
"""Audit entries in one shipment."""

AUDIT_RETENTION_MIN_S: Final = 365 * DAY_S
"""For how long audit entries stay at least where any are pruned. They have no severity, so that of the gravest events counts for all."""

PRUNED_SHIPMENTS_MAX: Final = 1_000
PRUNED_SHIPMENTS_DEFAULT: Final = 50
"""How many shipments one call of an operator prunes."""

SHIPMENT_CHAINS_SLICE: Final = 50
"""Audit chains that one turn of the archivist looks at."""

EXCERPT_ENTRIES_MAX: Final = 5_000
EXCERPT_ENTRIES_DEFAULT: Final = 1_000
EXCERPT_WINDOW_DEFAULT_S: Final = 90 * 86_400.0
"""What a peer is shown of its own trail unless it asks for other bounds."""

# The peer channel.
CHANNEL_FRAME_BYTES_MAX: Final = 131_072
CHANNEL_BODY_BYTES_MAX: Final = CHANNEL_FRAME_BYTES_MAX - 2_048
CHANNEL_CALLS_IN_FLIGHT_MAX: Final = 16
CHANNEL_QUEUE_FRAMES_MAX: Final = 64
CHANNEL_ANSWER_S: Final = 4.0
"""Silence after a call on a channel for which the channel is given up, so that time is left to call over HTTP instead."""
CHANNEL_RETRY_FIRST_S: Final = 1.0
CHANNEL_RETRY_MAX_S: Final = 600.0
CHANNEL_PROVEN_S: Final = 60.0
"""A channel that lasted this long was a good one: the next attempt begins again with the shortest wait."""
CHANNEL_RENEWED_GAP_S: Final = 1.0
CHANNEL_RENEWED_WITHIN_S: Final = 3_600.0
"""Once the listener shows another certificate, peers are made to dial anew in turn: at such a distance, and all within so long."""
NEWS_WAITING_MAX: Final = 64
NEWS_OF_ENDS_WAITING_MAX: Final = 4_096
NEWS_IN_ONE_EVENT_MAX: Final = 48
"""How many ends one peer event tells of: within what a remote takes as elements of an array, and as bytes of a payload."""
CHANNEL_ECHO_BEHIND_MAX: Final = 2
"""How many of our heartbeats the remote's echo may be behind and still be fresh: one may be under way, and one may have been lost."""

assert BODY_BYTES_MAX < CHANNEL_FRAME_BYTES_MAX <= REPLY_BYTES_MAX
assert CHANNEL_CALLS_IN_FLIGHT_MAX < CHANNEL_QUEUE_FRAMES_MAX
assert CHANNEL_RETRY_FIRST_S < CHANNEL_RETRY_MAX_S
assert NEWS_IN_ONE_EVENT_MAX <= ARRAY_ELEMENTS_MAX

# The hub.
HUB_CONNECTIONS_MAX: Final = 4_096
HUB_NEW_CONNECTIONS_MAX: Final = 1_000_000
HUB_RATE_BYTES_MIN: Final = 1_024
HUB_RATE_BYTES_MAX: Final = 1_073_741_824
HUB_SOURCES_MAX: Final = 64
HUB_LISTED_MAX: Final = 1_000
HUB_REFUSALS_TOLD_S: Final = 900.0
"""For how long a finding tells of a connection that was not relayed."""
RELAY_TOKEN_BYTES: Final = 32
RELAY_TOKEN_CHARS: Final = 43

assert RELAY_TOKEN_CHARS == -(-RELAY_TOKEN_BYTES * 4 // 3)

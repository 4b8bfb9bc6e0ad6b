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
CSR_CHARS_MAX: Final = 8_192
SERVER_CHAIN_MAX: Final = 8
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 8_192

# Text and objects from a remote.
URL_CHARS_MAX: Final = 2_048
NAME_CHARS_MAX: Final = 64
DISCLOSURE_CHARS_MAX: Final = 256
ENDPOINTS_MAX: Final = 16
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
ASYMMETRIC_HEARTBEAT_S: Final = 300.0
DEGRADED_PROLONGED_S: Final = DAY_S
GOVERNANCE_INTERVAL_S: Final = 300.0
LIVENESS_INTERVAL_S: Final = 60.0

# Operator surface.
PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
IDEMPOTENCY_KEPT_S: Final = DAY_S
IDEMPOTENCY_KEY_CHARS_MAX: Final = 255
ACCESS_TOKEN_TTL_S: Final = 900.0
ACCESS_TOKEN_CHARS_MAX: Final = 8_192
ACCESS_TOKEN_PERMISSIONS_MAX: Final = 512
CLOCK_STEP_MAX_S: Final = 60.0
REFRESH_TOKEN_TTL_S: Final = 30 * DAY_S

assert TOKEN_TTL_MIN_S <= TOKEN_TTL_DEFAULT_S <= TOKEN_TTL_MAX_S
assert BODY_BYTES_MAX <= ACCEPT_BODY_BYTES_MAX <= REPLY_BYTES_MAX
assert BUNDLE_BYTES_MAX < ACCEPT_BODY_BYTES_MAX
assert OBJECT_BYTES_MAX < BODY_BYTES_MAX
assert PAGE_DEFAULT <= PAGE_MAX
assert CERTIFICATE_BYTES_MAX * BUNDLE_CERTIFICATES_MAX <= BUNDLE_BYTES_MAX
assert CSR_CHARS_MAX < BODY_BYTES_MAX
assert CLOCK_STEP_MAX_S < ACCESS_TOKEN_TTL_S
# Base64 makes four characters of three; 512 hold the other parts of an invitation.
assert (URL_CHARS_MAX + 512) * 4 / 3 < INVITATION_CHARS_MAX
assert sum(ACCEPT_RETRY_DELAYS_S) < 45.0

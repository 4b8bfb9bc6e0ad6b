"""Bodies and answers of the routes of subscriptions and of peers' catalogues."""

from __future__ import annotations

from typing import Final

from actors.door.bodies import REASON_CHARS_MAX
from actors.door.grants.bodies import REQUIRED
from actors.door.offerings.bodies import CATALOGUE_ENTRY, TTL_DAYS
from actors.door.shapes import Boolean, Choice, Field, Identifier, Instant, Integer, ListOf, Object, Text
from actors.inventory.words import SLUG
from actors.offering import backend
from actors.subscription.lifecycle import STATES

_HOSTNAME: Final = Text(chars_min=1, chars_max=backend.HOST_CHARS_MAX, convert=backend.local_hostname)

SUBSCRIBE: Final = Object(
    (
        Field("slug", SLUG, required=True, required_code=REQUIRED, required_status=422, code="slug_invalid", status=422),
        Field(
            "local_hostname", _HOSTNAME, required=True, required_code=REQUIRED, required_status=422, code="hostname_invalid", status=422,
            description="A DNS name, or `localhost:<port>` for a forward on this machine alone.",
        ),
        Field("ttl_days", TTL_DAYS, nullable=True, code="ttl_out_of_range", status=422, description="The provider's default when absent."),
        Field("dns_credential_id", Identifier(), nullable=True, description="By what a certificate for the host is to be obtained."),
        Field("acknowledge_residency", Boolean(), default=False, description="A crossing of a boundary is meant."),
        Field("auto_renew", Boolean(), default=True, description="Whether the term is renewed before its end without being told to."),
        Field(
            "override_residency", Boolean(), default=False,
            description="If our residency rules refuse it, ask for an exception for this one subscription.",
        ),
    ),
    name="SubscribeRequest",
)  # fmt: skip
CANCEL: Final = Object(
    (Field("reason", Text(chars_min=1, chars_max=REASON_CHARS_MAX, trim=True), description="Kept with the subscription."),),
    name="CancelSubscriptionRequest",
)
STEP: Final = Object((), name="SubscriptionStepRequest")
SUBSCRIPTION: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("slug", Text(), required=True),
        Field("local_hostname", Text(), required=True),
        Field("site_local", Boolean(), required=True),
        Field("status", Choice(STATES), required=True),
        Field("served", Boolean(), required=True, description="Whether traffic goes to the provider now."),
        Field("allowed_transitions", ListOf(Choice(STATES), len(STATES)), required=True),
        Field("pending_reason", Text(), nullable=True, description="The code of what a pending one waits for."),
        Field("suspension_reason", Text(), nullable=True),
        Field("cancellation_reason", Text(), nullable=True),
        Field("release_pending", Boolean(), required=True, description="Whether the provider is still to be told of the end."),
        Field("protocol", Text(), nullable=True),
        Field("backend_host", Text(), nullable=True),
        Field("backend_port", Integer(), nullable=True),
        Field("service_offering_id", Identifier(), nullable=True),
        Field("grant_id", Identifier(), nullable=True),
        Field("permission_scopes", ListOf(Text(), 2), required=True),
        Field("auto_renew", Boolean(), required=True),
        Field("residency_exception", Identifier(), nullable=True, description="The approval by which our residency rules let it be."),
        Field("certificate_not_after", Instant(), nullable=True, description="End of the certificate that was brought for the host name."),
        Field(
            "certificate_fault", Text(), nullable=True, description="Why the proxy has no good certificate to show there, at the last look."
        ),
        Field("expires_at", Instant(), nullable=True),
        Field("access_ends_at", Instant(), nullable=True, description="When the provider ends the service, if it has told so."),
        Field("next_try_at", Instant(), nullable=True),
        Field("activated_at", Instant(), nullable=True),
        Field("suspended_at", Instant(), nullable=True),
        Field("cancelled_at", Instant(), nullable=True),
        Field("created_at", Instant(), required=True),
        Field("updated_at", Instant(), required=True),
        Field("version", Integer(), required=True),
    ),
    name="ServiceSubscription",
    unknown="ignore",
)
ONE_SUBSCRIPTION: Final = Object((Field("subscription", SUBSCRIPTION, required=True),), name="OneSubscription", unknown="ignore")
SEEN_ENTRY: Final = Object(
    (
        *CATALOGUE_ENTRY.fields,
        Field("observed_at", Instant(), required=True),
        Field("age_seconds", Integer(), required=True),
        Field("fresh", Boolean(), required=True, description="False for what was kept from an earlier look, because the peer is away."),
    ),
    name="SeenCatalogueEntry",
    unknown="ignore",
)

"""The approved one-off exception from our own refusal to let data live at a provider.

Lives here: what it covers, and what an operator is asked. An exception belongs to one subscription, to one service of one peer under one
host, and to the places that both platforms named when it was asked for. It says nothing about the rules of the provider. Must not live
here: the rules themselves (`actors.residency`), or an effect.
"""

from __future__ import annotations

from typing import Any

from actors import residency
from actors.approval.categories import RESIDENCY_OVERRIDE
from actors.approval.limits import SUMMARY_CHARS_MAX
from actors.approval.messages import AskApproval
from actors.approval.record import ApprovalRecord
from actors.peer.record import PeerRecord
from actors.subscription.messages import Create
from actors.subscription.record import KIND


def places(ours: str, peer: PeerRecord) -> dict[str, Any]:
    """Where both platforms keep data, as it counts."""
    return {
        "our_residency": residency.tag(ours),
        "decided_for_the_peer": residency.tag(peer.data_residency),
        "declared_by_the_peer": residency.tag(peer.declared_residency),
    }


def asked(id: str, message: Create, peer: PeerRecord, ours: str) -> AskApproval:
    """The request for an exception for a subscription that would be made.

    Args:
        id: of the subscription.
        ours: where this platform says that it keeps data.
    """
    named = peer.remote_instance_url or peer.id
    return AskApproval(
        account_id=message.account_id,
        action_category=RESIDENCY_OVERRIDE,
        requested_by=message.by,
        origin="rest",
        federation_peer_id=peer.id,
        subject_kind=KIND.name,
        subject_id=id,
        summary=f"Subscribe to {message.slug} of {named} although our residency rules refuse it"[:SUMMARY_CHARS_MAX],
        impact="What is kept in the service lives where our rules do not let it live. This one subscription is made; the rules stay.",
        plan={"situation": residency.situation(ours, peer)},
        params={
            "subscription_id": id,
            "peer_id": peer.id,
            "slug": message.slug,
            "local_hostname": message.local_hostname,
            "ttl_days": message.ttl_days,
            "dns_credential_id": message.dns_credential_id,
            "acknowledge_residency": message.acknowledge_residency,
            "auto_renew": message.auto_renew,
            **places(ours, peer),
        },
        mark=message.mark,
    )


def approved(approval: ApprovalRecord) -> Create:
    """The subscription for which an exception was approved."""
    names = ("peer_id", "slug", "local_hostname", "ttl_days", "dns_credential_id", "acknowledge_residency")
    renewed = approval.params.get("auto_renew", True)
    return Create(
        account_id=approval.account_id, by=approval.requested_by, auto_renew=renewed, **{name: approval.params[name] for name in names}
    )

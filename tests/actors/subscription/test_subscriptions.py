"""Subscriptions through both production doors: subscribe, serve, renew, end, and what happens while the provider is away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.approval.messages import Execute
from actors.offering import backend
from actors.ports import RemoteReply
from actors.subscription import answers, catalogue
from actors.subscription.record import Backend
from runtime.actor import Ref
from runtime.clock import iso
from runtime.errors import Fault
from runtime.store.port import Query
from sim.mishaps import restore
from sim.world import Reply
from tests.actors.approval.test_approvals import APPROVALS, another
from tests.support.grants import PEERS, Peers
from tests.support.services import OFFERINGS, WIKI, offer, quiet_peers, step

SUBSCRIPTIONS = "/api/v1/system/federation/service_subscriptions"
ID = "0190c0de-0000-7000-8000-0000000000aa"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


class Two:
    """`a` provides, `b` subscribes."""

    def __init__(self, **settings: Any) -> None:
        self.peers: Peers = quiet_peers(**settings)
        self.world, self.a, self.b = self.peers.world, self.peers.a, self.peers.b
        self.there = f"/api/v1/system/federation/peers/{self.peers.a_at_b}"
        self.held = f"{PEERS}/{self.peers.a_at_b}/received_grants"

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        return self.peers.ask(method, path, body, at=self.b)

    def subscribe(self, **changes: Any) -> Reply:
        reply = self.ask("POST", f"{self.there}/subscriptions", {"slug": "wiki", "local_hostname": "wiki.b.example", **changes})
        self.world.run_for(2.0)
        return reply

    def active(self, **changes: Any) -> dict[str, Any]:
        reply = self.subscribe(**changes)
        assert reply.status == 201, reply.body
        assert reply.data["subscription"]["status"] == "active", reply.body
        return dict(reply.data["subscription"])

    def shown(self, id: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"{SUBSCRIPTIONS}/{id}").data["subscription"])

    def seen(self, id: str) -> tuple[str, str | None]:
        shown = self.shown(id)
        return shown["status"], shown["pending_reason"] or shown["suspension_reason"] or shown["cancellation_reason"]

    def routes(self) -> dict[str, Any]:
        content = self.b.proxy.files.get(f"powernode-{self.b.account_id}.yml", b"{}")
        found: dict[str, Any] = json.loads(content)
        return found

    def hosts(self) -> list[str]:
        return sorted(router["rule"] for section in self.routes().values() for router in section["routers"].values())

    def leases(self, id: str) -> list[str]:
        return [row["state"] for row in self.peers.ask("GET", f"{OFFERINGS}/{id}/leases").data]

    def apart(self) -> Callable[[], None]:
        """Cut the two off from each other; the result joins them again."""
        self.world.links.partition("a", "b")
        return self.world.network.heal


@pytest.fixture
def two() -> Two:
    return Two()


def test_a_service_is_subscribed_to_and_its_route_carries_the_bearer(two: Two) -> None:
    offer(two.peers)
    subscription = two.active()
    assert subscription["served"] is True
    assert two.hosts() == ["Host(`wiki.b.example`)"]
    key = f"sub-{subscription['id']}"
    http = two.routes()["http"]
    assert http["services"][key]["loadBalancer"]["servers"] == [{"url": "http://10.7.0.9:8080"}]
    header = http["middlewares"][key]["headers"]["customRequestHeaders"]["Authorization"]
    assert header.startswith(f"Bearer fg-{subscription['grant_id']}.")
    secret = header.partition(".")[2]
    kept = [two.b.store.query(Query(kind)) for kind in ("service_subscription", "remembered_answer", "proxy_routes")]
    assert secret not in repr([kept, two.b.store.events(0, 1000), two.ask("GET", SUBSCRIPTIONS).body])


def test_the_grant_of_a_seat_is_listed_among_those_that_the_peer_gave_us(two: Two) -> None:
    offering = offer(two.peers)
    subscription = two.active()
    listed = two.ask("GET", two.held)
    (held,) = listed.data
    assert (held["id"], held["grant_id"], held["source"]) == (subscription["id"], subscription["grant_id"], "subscription")
    assert (held["resource_kind"], held["resource_id"]) == ("ServiceOffering", offering["id"])
    assert (held["state"], held["usable"]) == ("active", True)
    secret = two.routes()["http"]["middlewares"][f"sub-{subscription['id']}"]["headers"]["customRequestHeaders"]["Authorization"]
    assert secret.partition(".")[2] not in repr(listed.body)
    two.peers.ask("POST", f"{PEERS}/{two.peers.b_at_a}/grants/{subscription['grant_id']}/revoke", {"reason": "over"})
    two.world.run_for(5.0)
    (held,) = two.ask("GET", two.held).data
    assert (held["state"], held["usable"], held["refused_code"]) == ("refused", False, "grant_revoked")
    two.ask("POST", f"{SUBSCRIPTIONS}/{subscription['id']}/cancel", {})
    assert two.ask("GET", two.held).data == []


def test_the_catalogue_is_fresh_while_the_peer_answers_and_aged_while_it_is_away(two: Two) -> None:
    offer(two.peers)
    fresh = two.ask("GET", f"{two.there}/catalog")
    assert (fresh.data[0]["slug"], fresh.data[0]["fresh"], fresh.data[0]["age_seconds"]) == ("wiki", True, 0)
    two.apart()
    two.world.run_for(HOUR)
    kept = two.ask("GET", f"{two.there}/catalog")
    assert (kept.status, kept.data[0]["slug"], kept.data[0]["fresh"]) == (200, "wiki", False)
    assert kept.data[0]["age_seconds"] >= HOUR
    assert kept.body["meta"]["stale_because"] is not None


def test_a_catalogue_of_which_not_all_is_fetched_says_so(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(two.peers)
    assert two.ask("GET", f"{two.there}/catalog").body["meta"]["complete"] is True
    offer(two.peers, slug="files", name="Files")
    monkeypatch.setattr(catalogue, "PATH", "/federation_api/service_catalog?limit=1")
    monkeypatch.setattr(catalogue, "PAGES_MAX", 1)
    cut = two.ask("GET", f"{two.there}/catalog")
    assert (len(cut.data), cut.body["meta"]["complete"]) == (1, False)


def test_what_the_provider_refuses_ends_the_subscription_and_frees_its_host(two: Two) -> None:
    refused = two.subscribe(slug="nothing")
    assert (refused.status, refused.body["code"]) == (502, "remote_rejected")
    assert refused.body["details"]["remote_code"] == "offering_not_found"
    assert [row["status"] for row in two.ask("GET", SUBSCRIPTIONS).data] == ["cancelled"]
    offer(two.peers)
    two.active()


def test_a_host_is_taken_once(two: Two) -> None:
    offer(two.peers, max_subscribers=None)
    first = two.active()
    refused = two.subscribe().body
    assert (refused["code"], refused["error"]) == ("hostname_taken", "another subscription that is not over has this host")
    two.ask("POST", f"{SUBSCRIPTIONS}/{first['id']}/cancel", {})
    two.active()


def test_a_site_local_forward_has_its_own_file_and_needs_no_certificate(two: Two) -> None:
    offer(two.peers, protocol="https")
    two.active(local_hostname="localhost:8443")
    assert two.hosts() == []
    (forward,) = json.loads(two.b.proxy.files[f"powernode-{two.b.account_id}.forwards.json"])["forwards"]
    assert (forward["listen"], forward["backend"], forward["server_name"]) == ("127.0.0.1:8443", "10.7.0.9:8080", "10.7.0.9")
    assert forward["anchor_pem"] == two.a.authority.ca_bundle_pem


def test_a_public_host_waits_for_a_certificate_and_says_so(two: Two) -> None:
    offer(two.peers, protocol="https")
    reply = two.subscribe()
    id = reply.data["subscription"]["id"]
    assert two.seen(id) == ("pending", "certificate_authority_not_configured")
    assert two.hosts() == []
    two.b.proxy.certificates_end = two.world.timeline.now + 10 * DAY
    retried = two.ask("POST", f"{SUBSCRIPTIONS}/{id}/retry", {})
    assert retried.data["subscription"]["status"] == "active"
    transport = two.routes()["http"]["serversTransports"][f"sub-{id}"]
    assert transport == {"serverName": "10.7.0.9", "rootCAs": [two.a.authority.ca_bundle_pem]}


def test_a_certificate_that_is_renewed_goes_to_the_proxy_and_one_that_ends_is_told_once(two: Two) -> None:
    offer(two.peers, protocol="https")
    two.b.proxy.certificates_end = two.world.timeline.now + 10 * DAY
    id = two.active()["id"]
    assert two.shown(id)["certificate_not_after"] == iso(two.b.proxy.certificates_end)
    two.b.proxy.certificates_end += 80 * DAY
    two.world.run_for(2 * HOUR)
    assert two.shown(id)["certificate_not_after"] == iso(two.b.proxy.certificates_end)
    two.b.proxy.certificates_end = None
    two.world.run_for(3 * HOUR)
    shown = two.shown(id)
    assert (shown["status"], shown["certificate_fault"]) == ("active", "certificate_authority_not_configured")
    told = [event for event in two.b.store.events(0, 1_000) if event.kind == "federation.subscription.failed"]
    assert [event.payload["reason"] for event in told] == [shown["certificate_fault"]]
    two.b.proxy.certificates_end = two.world.timeline.now + 90 * DAY
    two.world.run_for(2 * HOUR)
    assert two.shown(id)["certificate_fault"] is None


def test_a_provider_that_is_away_is_asked_again_and_given_up_after_a_day(two: Two) -> None:
    offer(two.peers)
    join = two.apart()
    first = two.subscribe().data["subscription"]["id"]
    assert two.seen(first)[0] == "pending"
    two.world.run_for(6 * MINUTE)
    join()
    two.world.run_for(26 * MINUTE)
    assert two.seen(first) == ("active", None)
    two.apart()
    second = two.subscribe(local_hostname="other.b.example").data["subscription"]["id"]
    two.world.run_for(DAY + 2 * HOUR)
    status, reason = two.seen(second)
    assert (status, str(reason).partition(":")[0]) == ("cancelled", "gave_up")


def test_cancelling_while_the_provider_is_away_stops_traffic_now_and_frees_the_seat_later(two: Two) -> None:
    offering = offer(two.peers)
    id = two.active()["id"]
    join = two.apart()
    cancelled = two.ask("POST", f"{SUBSCRIPTIONS}/{id}/cancel", {"reason": "moved"}).data["subscription"]
    two.world.run_for(1.0)
    assert (cancelled["status"], cancelled["release_pending"], two.hosts()) == ("cancelled", True, [])
    assert two.b.store.load("service_subscription", id).record.sealed_bearer is None  # type: ignore[union-attr]
    two.b.crash()
    two.b.start()
    two.b.sign_in()
    two.world.run_for(10 * MINUTE)
    assert two.leases(offering["id"]) == ["live"]
    join()
    two.world.run_for(2 * HOUR)
    assert two.leases(offering["id"]) == ["cancelled"]
    assert two.shown(id)["release_pending"] is False


def test_a_grant_that_the_provider_revokes_stops_traffic_at_once(two: Two) -> None:
    offer(two.peers)
    subscription = two.active()
    two.peers.revoke(subscription["grant_id"])
    two.world.run_for(3.0)
    assert two.seen(subscription["id"]) == ("suspended", "grant_revoked")
    assert two.hosts() == []


def test_a_notice_that_was_lost_is_made_up_for_within_the_hour(two: Two) -> None:
    offer(two.peers)
    subscription = two.active()
    join = two.apart()
    two.peers.revoke(subscription["grant_id"])
    two.world.run_for(5 * MINUTE)
    join()
    two.world.run_for(2 * HOUR)
    assert two.seen(subscription["id"]) == ("suspended", "lease_gone")
    assert two.hosts() == []


def test_a_term_is_renewed_by_itself_before_its_end(two: Two) -> None:
    offer(two.peers, default_grant_ttl_days=8)
    subscription = two.active()
    two.world.run_for(1 * DAY + 2 * HOUR)
    renewed = two.shown(subscription["id"])
    assert renewed["status"] == "active"
    assert renewed["grant_id"] != subscription["grant_id"]
    assert renewed["expires_at"] > subscription["expires_at"]
    bearer = two.routes()["http"]["middlewares"][f"sub-{subscription['id']}"]["headers"]["customRequestHeaders"]["Authorization"]
    assert bearer.startswith(f"Bearer fg-{renewed['grant_id']}.")


def test_what_is_not_to_be_renewed_ends_with_its_term_and_goes_on_when_an_operator_says_so(two: Two) -> None:
    offer(two.peers, default_grant_ttl_days=7)
    id = two.active(auto_renew=False)["id"]
    assert two.shown(id)["auto_renew"] is False
    two.world.run_for(7 * DAY + 3 * HOUR)
    assert two.seen(id) == ("suspended", "grant_expired")
    assert two.hosts() == []
    assert two.ask("POST", f"{SUBSCRIPTIONS}/{id}/renew", {}).status == 200
    assert two.seen(id) == ("active", None)


def test_a_term_as_short_as_the_time_before_its_renewal_is_renewed_once_a_day(two: Two) -> None:
    offer(two.peers, default_grant_ttl_days=7)
    id = two.active()["id"]
    two.world.run_for(3 * DAY)
    renewals = [event for event in two.b.store.events(0, 10_000) if event.kind == "federation.subscription.renewed"]
    assert 1 <= len(renewals) <= 3
    assert two.seen(id) == ("active", None)


def test_a_term_that_ends_while_the_provider_is_away_stops_traffic_and_comes_back_with_it(two: Two) -> None:
    offering = offer(two.peers, default_grant_ttl_days=7)
    subscription = two.active()
    join = two.apart()
    two.world.run_for(7 * DAY + HOUR)
    assert two.seen(subscription["id"]) == ("suspended", "grant_expired")
    assert two.hosts() == []
    join()
    two.world.run_for(DAY + 2 * HOUR)
    assert two.seen(subscription["id"])[0] == "active"
    assert two.hosts() == ["Host(`wiki.b.example`)"]
    assert sorted(two.leases(offering["id"])) == ["expired", "live"]


def test_routes_follow_the_peering_in_and_out_of_a_pause_and_end_with_it(two: Two) -> None:
    offer(two.peers)
    id = two.active()["id"]
    here = f"{PEERS}/{two.peers.a_at_b}"
    two.ask("POST", f"{here}/suspend", {})
    two.world.run_for(1.0)
    assert (two.hosts(), two.shown(id)["served"]) == ([], False)
    two.ask("POST", f"{here}/resume", {})
    two.world.run_for(5.0)
    assert two.hosts() == ["Host(`wiki.b.example`)"]
    two.ask("POST", f"{here}/revoke", {})
    two.world.run_for(5.0)
    assert (two.seen(id), two.hosts()) == (("cancelled", "peer_revoked"), [])


def test_a_proxy_that_cannot_be_written_keeps_the_subscription_pending_until_it_can(two: Two) -> None:
    offer(two.peers)
    two.b.proxy.full = True
    row = two.subscribe().data["subscription"]
    assert (row["status"], row["pending_reason"], two.leases(two.peers.ask("GET", OFFERINGS).data[0]["id"])) == (
        "pending",
        "proxy_unavailable",
        ["live"],
    )
    two.b.proxy.full = False
    two.world.run_for(2 * MINUTE)
    assert two.seen(row["id"]) == ("active", None)


def test_retirement_is_announced_and_its_end_suspends(two: Two) -> None:
    offering = offer(two.peers)
    id = two.active()["id"]
    step(two.peers, offering["id"], "retire")
    two.world.run_for(2.0)
    assert two.shown(id)["access_ends_at"] is not None
    assert two.shown(id)["status"] == "active"


def test_routes_are_written_once_for_one_content_and_again_after_a_start(two: Two) -> None:
    offer(two.peers)
    two.active()
    writes = two.b.proxy.writes
    two.b.proxy.files.clear()
    two.b.crash()
    two.b.start()
    two.world.run_for(2.0)
    assert two.hosts() == ["Host(`wiki.b.example`)"]
    two.world.run_for(3 * HOUR)
    assert two.b.proxy.writes == writes + 1


def test_a_restored_copy_serves_nothing_until_its_operators_have_decided(two: Two) -> None:
    offer(two.peers)
    id = two.active()["id"]
    backup = two.b.store.image()
    two.ask("POST", f"{SUBSCRIPTIONS}/{id}/cancel", {})
    two.world.run_for(5.0)
    assert two.hosts() == []
    restore(two.b, backup)
    two.world.run_for(60.0)
    # The copy holds it as active.
    (row,) = two.b.store.query(Query("service_subscription"))
    assert row.record.state == "active"
    assert two.hosts() == []
    two.ask("POST", "/api/v1/system/platform/trust/unfreeze", {"decision": "restored"})
    two.world.run_for(60.0)
    assert two.hosts() == []


EU, US = {"data_residency": "eu"}, {"data_residency": "us"}


def test_a_service_that_is_not_sensitive_asks_nobody_where_data_lives() -> None:
    two = Two(a={**EU, "residency_mode": "refuse"}, b={**US, "residency_mode": "refuse"})
    offer(two.peers)
    two.ask("GET", f"{two.there}/catalog")
    two.active()
    assert told(two.b, two.peers.a_at_b, "cross_boundary") == ([], [])


def test_a_provider_gives_no_seat_across_a_boundary_that_it_refuses() -> None:
    two = Two(a={**EU, "residency_mode": "refuse"}, b=US)
    offering = offer(two.peers, residency_sensitive=True)
    refused = two.subscribe()
    assert (refused.status, refused.body["details"]["remote_code"]) == (502, "residency_refused")
    (over,) = two.ask("GET", SUBSCRIPTIONS).data
    assert two.seen(over["id"]) == ("cancelled", "rejected: residency_refused")
    assert two.leases(offering["id"]) == []


def test_a_subscriber_asks_its_own_rules_before_it_asks_the_provider() -> None:
    two = Two(a=EU, b={**US, "residency_mode": "refuse"})
    offering = offer(two.peers, residency_sensitive=True)
    two.ask("GET", f"{two.there}/catalog")
    refused = two.subscribe(acknowledge_residency=True)
    assert (refused.status, refused.body["code"]) == (403, "residency_refused")
    assert two.ask("GET", SUBSCRIPTIONS).data == []
    assert two.leases(offering["id"]) == []


def told(platform: Any, peer_id: str, what: str) -> tuple[list[str], list[str]]:
    """The severities of the events, and the entries of the peer's audit chain, whose names end so."""
    events = [event.severity for event in platform.store.events(0, 10_000) if event.kind.endswith(what)]
    return events, [entry.action for entry in platform.store.audit(peer_id, 0, 1_000) if entry.action.endswith(what)]


@pytest.mark.parametrize(("mode", "severity"), [("permissive", "medium"), ("warn", "high")])
def test_a_seat_across_a_boundary_is_told_and_kept_at_both_ends(mode: str, severity: str) -> None:
    two = Two(a={**EU, "residency_mode": mode}, b={**US, "residency_mode": mode})
    offer(two.peers, residency_sensitive=True)
    two.ask("GET", f"{two.there}/catalog")
    two.active(acknowledge_residency=True)
    assert told(two.b, two.peers.a_at_b, "cross_boundary") == ([severity], ["subscription.cross_boundary"])
    assert told(two.a, two.peers.b_at_a, "cross_boundary") == ([severity], ["lease.cross_boundary"])


def test_a_seat_at_a_place_that_nobody_knows_is_noted_at_both_ends() -> None:
    two = Two(a=EU)
    offer(two.peers, residency_sensitive=True)
    two.active()
    assert told(two.b, two.peers.a_at_b, "residency_unknown") == ([], ["subscription.residency_unknown"])
    assert told(two.a, two.peers.b_at_a, "residency_unknown") == ([], ["lease.residency_unknown"])


def excepted(two: Two, **changes: Any) -> str:
    """The id of the request for approval of a subscription that the rules refuse."""
    reply = two.subscribe(override_residency=True, **changes)
    assert reply.status == 202, reply.body
    assert two.ask("GET", SUBSCRIPTIONS).data == []
    return str(reply.data["approval_request_id"])


def decided(two: Two, approval_id: str, act: str = "approve") -> dict[str, Any]:
    reply = two.ask("POST", f"{APPROVALS}/{approval_id}/{act}", {"reason": "no"} if act == "reject" else {})
    assert reply.status == 200, reply.body
    two.world.run_for(2.0)
    return dict(reply.data["approval"])


REFUSING: dict[str, Any] = {**US, "residency_mode": "refuse"}


def test_one_subscription_is_made_by_an_approval_although_the_rules_refuse_it() -> None:
    two = Two(a=EU, b=REFUSING)
    offering = offer(two.peers, residency_sensitive=True)
    approval_id = excepted(two, auto_renew=False)
    assert two.leases(offering["id"]) == []
    shown = two.ask("GET", f"{APPROVALS}/{approval_id}").data["approval"]
    assert (shown["action_category"], shown["plan"]) == ("federation.residency_override", {"situation": "different"})
    done = decided(two, approval_id)
    assert done["execution_status"] == "succeeded", done
    id = done["resolution"]["subscription_id"]
    assert two.seen(id) == ("active", None)
    assert two.shown(id)["auto_renew"] is False
    assert two.shown(id)["residency_exception"] == approval_id
    (entry,) = [each for each in two.b.store.audit(two.peers.a_at_b, 0, 1_000) if each.action == "subscription.requested"]
    facts = {"approval_id": approval_id, "approved_by": two.b.operator_id, "operation_id": shown["execution_id"]}
    assert facts.items() <= entry.payload.items()
    assert told(two.b, two.peers.a_at_b, "cross_boundary") == (["high"], ["subscription.cross_boundary"])
    row = two.b.store.load("approval", approval_id)
    assert row is not None
    two.b.engine.tell(Ref("service_subscription", id), Execute(approval=row.record, approved_by="somebody"))
    two.ask("POST", f"{SUBSCRIPTIONS}/{id}/cancel", {})
    assert two.subscribe().body["code"] == "residency_refused"
    assert len(two.ask("GET", SUBSCRIPTIONS).data) == 1


@pytest.mark.parametrize("act", ["reject", "cancel"])
def test_a_subscription_that_is_not_approved_is_not_made(act: str) -> None:
    two = Two(a=EU, b=REFUSING)
    offer(two.peers, residency_sensitive=True)
    decided(two, excepted(two), act)
    assert two.ask("GET", SUBSCRIPTIONS).data == []


def test_an_exception_covers_the_places_and_the_host_that_were_approved() -> None:
    two = Two(a=EU, b=REFUSING)
    offer(two.peers, residency_sensitive=True, max_subscribers=5)
    first, second, third = excepted(two), excepted(two), excepted(two, local_hostname="other.b.example")
    assert decided(two, first)["execution_status"] == "succeeded"
    assert decided(two, second)["resolution"]["code"] == "hostname_taken"
    assert two.subscribe(override_residency=True).body["code"] == "hostname_taken"
    tagged = two.ask("PATCH", f"{PEERS}/{two.peers.a_at_b}", {"data_residency": "kp"})
    decided(two, tagged.data["approval_request_id"])
    assert decided(two, third)["resolution"]["code"] == "precondition_changed"
    assert len(two.ask("GET", SUBSCRIPTIONS).data) == 1


def test_where_the_rules_allow_it_or_ask_for_a_word_nothing_waits() -> None:
    two = Two(a=EU, b={**US, "residency_mode": "warn"})
    offer(two.peers, residency_sensitive=True)
    assert two.subscribe(override_residency=True).body["code"] == "residency_unacknowledged"
    two.active(override_residency=True, acknowledge_residency=True)


def test_to_ask_takes_the_permission_to_subscribe_and_no_other() -> None:
    two = Two(a=EU, b=REFUSING)
    offer(two.peers, residency_sensitive=True)
    admin = two.b.token
    two.b.token = another(two.b, "subscriber@b.example", "system.service_subscriptions.subscribe")
    reply = two.b.call(
        "POST", f"{two.there}/subscriptions", {"slug": "wiki", "local_hostname": "wiki.b.example", "override_residency": True}
    )
    assert reply is not None
    assert reply.status == 202, reply.body
    two.b.token = admin
    assert decided(two, reply.data["approval_request_id"])["execution_status"] == "succeeded"


def test_what_was_never_seen_in_a_catalogue_counts_as_sensitive() -> None:
    two = Two(a=EU, b={**US, "residency_mode": "warn"})
    offer(two.peers)
    refused = two.subscribe()
    assert (refused.status, refused.body["code"]) == (422, "residency_unacknowledged")
    two.ask("GET", f"{two.there}/catalog")
    two.active()


def test_an_acknowledgement_counts_on_both_sides_and_for_every_term() -> None:
    two = Two(a={**EU, "residency_mode": "warn"}, b={**US, "residency_mode": "warn"})
    offer(two.peers, residency_sensitive=True)
    unsaid = two.subscribe()
    assert unsaid.body["code"] == "residency_unacknowledged"
    id = two.active(acknowledge_residency=True)["id"]
    renewed = two.ask("POST", f"{SUBSCRIPTIONS}/{id}/renew", {})
    assert renewed.status == 200, renewed.body


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "169.254.169.254", "0.0.0.0", "fe80::1", "0x7f000001"]
)
def test_no_backend_leads_to_the_machine_of_whoever_dials_it(host: str) -> None:
    assert backend.misleading(host, ()) is not None
    assert backend.misleading("10.7.0.9", ()) is backend.misleading("fd00::9", ()) is backend.misleading("wiki.a.example", ()) is None


def test_a_provider_cannot_lead_our_proxy_to_our_own_machine() -> None:
    two = Two(a={"allowed_networks": ("127.0.0.0/8",)})
    offering = offer(two.peers, backend_host="127.0.0.1", backend_port=3000)
    refused = two.subscribe()
    assert (refused.status, refused.body["code"], refused.body["details"]["field"]) == (502, "remote_rejected", "backend_host")
    two.world.run_for(60.0)
    assert two.hosts() == []
    assert two.leases(offering["id"]) == ["cancelled"]


def test_an_address_that_subscribers_would_refuse_is_not_offered(two: Two) -> None:
    refused = two.peers.ask("POST", OFFERINGS, {**WIKI, "backend_host": "127.0.0.1"})
    assert (refused.status, refused.body["code"], refused.body["details"]["reason"]) == (422, "backend_invalid", "loopback")


def test_two_spellings_of_one_forward_are_one_host(two: Two) -> None:
    offer(two.peers, max_subscribers=None)
    two.active(local_hostname="localhost:8443")
    assert two.subscribe(local_hostname="127.0.0.1:8443").body["code"] == "hostname_taken"


def test_a_further_term_comes_with_the_protocol_of_the_former() -> None:
    data = {
        "grant_id": ID, "bearer_token": f"fg-{ID}.{'A' * 43}", "backend_host": "10.7.0.9", "backend_port": 80, "protocol": "http",
        "permission_scopes": ["read"], "expires_at": "2030-01-01T00:00:00Z", "service_offering_id": ID,
    }  # fmt: skip
    reply = RemoteReply(200, {"success": True, "data": data}, {}, "https://a.example", 0.0)
    assert isinstance(answers.seat(reply, (), Backend(host="10.7.0.8", port=80, protocol="http")), answers.Seat)
    refused = answers.seat(reply, (), Backend(host="10.7.0.8", port=80, protocol="tcp"))
    assert isinstance(refused, Fault)
    assert refused.details == {"field": "protocol"}


def test_the_last_turns_of_a_subscription_hold_no_bearer(two: Two) -> None:
    offer(two.peers)
    subscription = two.active()
    header = two.routes()["http"]["middlewares"][f"sub-{subscription['id']}"]["headers"]["customRequestHeaders"]["Authorization"]
    shown = two.ask("GET", f"/api/v1/system/actors/service_subscription/{subscription['id']}")
    assert "Answered" in [turn["message"] for turn in shown.data["actor"]["turns"]]
    assert header.partition(".")[2] not in repr(shown.body)


def test_an_answer_shows_its_text_without_what_is_secret_in_it() -> None:
    secret = "k" * 43
    data = {"bearer_token": f"fg-{ID}", "list": [f"fg-{ID}.{secret}", {"password": "short", "slug": "wiki"}]}
    shown = repr(RemoteReply(200, {"data": data}, {"x": secret}, "https://a.example", 0.5))
    assert "wiki" in shown
    assert "200" in shown
    assert not [hidden for hidden in (secret, "short", f"'fg-{ID}'") if hidden in shown]


@pytest.mark.parametrize("after_s", [0.0, 0.005])
def test_a_subscription_whose_first_attempt_was_cut_short_goes_on_after_the_start(two: Two, after_s: float) -> None:
    offering = offer(two.peers)
    two.b.send("POST", f"{two.there}/subscriptions", {"slug": "wiki", "local_hostname": "wiki.b.example"})
    assert two.world.run_until(lambda: two.b.store.query(Query("service_subscription")) != [], 10.0)
    two.world.run_for(after_s)
    two.b.crash()
    two.b.restart()
    two.world.run_for(10.0)
    (row,) = two.b.store.query(Query("service_subscription"))
    assert (row.record.state, two.leases(offering["id"]), two.hosts()) == ("active", ["live"], ["Host(`wiki.b.example`)"])

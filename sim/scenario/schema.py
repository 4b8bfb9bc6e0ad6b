"""What a scenario file says, as frozen values.

Lives here: the tables of the file and their keys. Must not live here: reading (see `load`) or running (see `run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors import residency
from actors.settings import FederationSettings
from runtime.values import evolve
from sim.links import Burst, Latency, Link, Uniform
from sim.names import TTL_S
from sim.nat import TCP_TIMEOUT_S, UDP_TIMEOUT_S, NatRules
from sim.releases import RELEASES
from sim.scenario.actions.registry import Action
from sim.scenario.expectations import Expectation
from sim.scenario.kinds import (
    BURST,
    CHANCE,
    DRIFT,
    DURATION,
    LATENCY,
    NAT,
    NETWORKS,
    OFFSET,
    PAIR,
    PLATFORM,
    PLATFORMS,
    RATE,
    SCHEDULE,
    SIZE,
    TEXT,
    TRUTH,
    WHOLE,
    Kind,
    key,
    one_of,
)
from sim.schedule import Deviation


def _settings() -> dict[str, tuple[str, Kind]]:
    """Key of a platform to (federation setting, kind); durations lose the unit in their name, as in the daemon's configuration."""
    kinds = {"float": DURATION, "bool": TRUTH, "int": WHOLE}
    found: dict[str, tuple[str, Kind]] = {}
    for field in attrs.fields(FederationSettings):
        kind = kinds.get(str(field.type))
        if kind is not None and kind is not TRUTH and field.name.endswith("_s"):
            found[field.name.removesuffix("_s")] = (field.name, DURATION)
        elif kind is not None:
            found[field.name] = (field.name, kind)
    words = {"data_residency": TEXT, "residency_mode": one_of(*residency.MODES), "residency_unknown": one_of(*residency.UNKNOWN_MODES)}
    words["accept_without_trust"] = one_of("inert", "refuse")
    return found | {name: (name, kind) for name, kind in words.items()}


SETTINGS: Final[Mapping[str, tuple[str, Kind]]] = _settings()
"""Federation settings that a `[[platform]]` may give."""


DEPENDENCES: Final = ("endpoint_independent", "address_dependent", "address_and_port_dependent")

START_COST_H: Final = 0.5
"""As many hours of a platform's life cost as much as its start."""


@attrs.frozen(kw_only=True)
class WorldPart:
    """`[world]`: chance and time."""

    seed: int = attrs.field(default=1, metadata=key(WHOLE, "everything left to chance follows from it; the command line may give another"))
    for_s: float = attrs.field(metadata=key(DURATION, "how long the world runs", "for"))
    level: str = attrs.field(
        default="frames",
        metadata=key(
            one_of("frames", "sockets"), "how faithful the network is: whole requests and answers, or HTTP and TLS over simulated sockets"
        ),
    )
    cost: str = attrs.field(
        default="small",
        metadata=key(one_of("small", "large"), "large: minutes of work; ordinary tests read such a file without running it"),
    )
    buggify: bool = attrs.field(
        default=False, metadata=key(TRUTH, "production code takes improbable turns now and then, at some of its sites in each run")
    )
    chores: bool = attrs.field(
        default=False,
        metadata=key(TRUTH, "platforms look over their peers and ship their audit chains by themselves, as the daemon does"),
    )
    converge: bool = attrs.field(
        default=False, metadata=key(TRUTH, "at the end all faults stop, and then every pair that has shaken hands must become active")
    )
    core: tuple[str, ...] = attrs.field(
        default=(), metadata=key(PLATFORMS, "with `converge`: only these are healed, the rest stays as broken as it is; all if not given")
    )
    schedule: tuple[Deviation, ...] | None = attrs.field(
        default=None,
        metadata=key(SCHEDULE, "turns that are not given to the actor ready for longest; without this key the seed decides every turn"),
    )
    skip_impossible: bool = attrs.field(
        default=False, metadata=key(TRUTH, "a step that cannot happen at its time is passed over instead of failing the run")
    )


@attrs.frozen(kw_only=True)
class PlatformPart:
    """`[[platform]]`: one platform, running from the start. Any federation setting may stand beside these keys."""

    name: str = attrs.field(metadata=key(TEXT, "what the rest of the file calls it; its URL is https://NAME.example.com"))
    count: int = attrs.field(default=1, metadata=key(WHOLE, "how many there are; more than one are called NAME1, NAME2 and so on"))
    nat: str | None = attrs.field(default=None, metadata=key(NAT, "the NAT that it is behind"))
    hub: str | None = attrs.field(
        default=None,
        metadata=key(PLATFORM, "the platform that relays for it: its name leads to that address"),
    )
    release: str = attrs.field(
        default="current", metadata=key(one_of(*RELEASES), "the former release neither sends nor reads what came later")
    )
    dns_ttl_s: float = attrs.field(default=TTL_S, metadata=key(DURATION, "how long others remember its address", "dns_ttl"))
    allowed_networks: tuple[str, ...] = attrs.field(
        default=(), metadata=key(NETWORKS, "networks that it may dial although they are not public")
    )
    unlimited: bool = attrs.field(default=False, metadata=key(TRUTH, "nobody is limited in how often to call it"))
    ca_ends_in_s: float | None = attrs.field(
        default=None, metadata=key(DURATION, "after which the root of its certificate authority ends", "ca_ends_in")
    )
    ca_begins_in_s: float = attrs.field(default=0.0, metadata=key(DURATION, "before which that root is not valid yet", "ca_begins_in"))
    listener_ttl_s: float | None = attrs.field(
        default=None, metadata=key(DURATION, "how long the certificate of its listener is valid", "listener_ttl")
    )
    clock_offset_s: float = attrs.field(default=0.0, metadata=key(OFFSET, "how far its wall clock is ahead", "clock_offset"))
    clock_drift: float = attrs.field(default=0.0, metadata=key(DRIFT, "seconds that its wall clock gains per second"))
    fsync_s: float = attrs.field(default=0.0, metadata=key(DURATION, "how long its disk takes for a commit", "fsync"))
    level: str | None = attrs.field(
        default=None,
        metadata=key(
            one_of("frames", "sockets", "recorded"),
            "the level of this platform; bytes travel where both ends are at `sockets`; `recorded` plays what `sim record` wrote",
        ),
    )
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    group: str = ""

    def members(self) -> tuple[PlatformPart, ...]:
        """Each of as many platforms as there are, by itself."""
        if self.count == 1:
            return (self,)
        return tuple(evolve(self, name=name, count=1, group=self.name) for name in member_names(self.name, self.count))


def member_names(name: str, count: int) -> list[str]:
    """What the platforms of one table are called."""
    return [name] if count == 1 else [f"{name}{number}" for number in range(1, count + 1)]


@attrs.frozen(kw_only=True)
class NatPart:
    """`[[nat]]`: a box that hides whoever is behind it (RFC 4787), or a firewall in front of them."""

    name: str = attrs.field(metadata=key(TEXT, "what the rest of the file calls it, and the network behind it"))
    behind: str | None = attrs.field(default=None, metadata=key(NAT, "the NAT that it is behind itself, as those of carriers are"))
    forward: str | None = attrs.field(default=None, metadata=key(PLATFORM, "whom it hands calls from outside to"))
    mapping: str = attrs.field(
        default="endpoint_independent", metadata=key(one_of(*DEPENDENCES), "what of the remote an outside port depends on")
    )
    filtering: str = attrs.field(default="address_and_port_dependent", metadata=key(one_of(*DEPENDENCES), "who may answer by it"))
    allocation: str = attrs.field(
        default="preserve", metadata=key(one_of("preserve", "sequential", "random"), "how outside ports are chosen")
    )
    tcp_timeout_s: float = attrs.field(
        default=TCP_TIMEOUT_S, metadata=key(DURATION, "after which silence it forgets a connection", "tcp_timeout")
    )
    udp_timeout_s: float = attrs.field(
        default=UDP_TIMEOUT_S, metadata=key(DURATION, "after which silence it forgets who sent datagrams", "udp_timeout")
    )
    hairpin: bool = attrs.field(default=False, metadata=key(TRUTH, "those behind it reach each other by its outside address"))
    udp_blocked: bool = attrs.field(default=False, metadata=key(TRUTH, "no datagram passes"))
    translates: bool = attrs.field(default=True, metadata=key(TRUTH, "false: it only filters, and addresses stay as they are"))

    @property
    def rules(self) -> NatRules:
        """How the box behaves."""
        return NatRules(**{field.name: getattr(self, field.name) for field in attrs.fields(NatRules)})


@attrs.frozen(kw_only=True)
class LinkPart:
    """`[[link]]`: the way between two platforms, in both directions."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    oneway: bool = attrs.field(default=False, metadata=key(TRUTH, "only the way from the first to the second"))
    latency: Latency = attrs.field(default=Uniform(0.005, 0.020), metadata=key(LATENCY, "how long what is sent is under way"))
    jitter_s: float = attrs.field(default=0.0, metadata=key(DURATION, "up to which more it may be", "jitter"))
    bytes_per_s: float | None = attrs.field(default=None, metadata=key(RATE, "bandwidth; unlimited if not given", "rate"))
    queue_bytes: float | None = attrs.field(
        default=None, metadata=key(SIZE, "how much may wait for bandwidth; unlimited if not given", "queue")
    )
    loss: float = attrs.field(
        default=0.0,
        metadata=key(CHANCE, "the chance that a request or an answer never arrives; parts of a stream are sent again and arrive late"),
    )
    burst: Burst | None = attrs.field(
        default=None, metadata=key(BURST, "loss in bursts: the chances that one begins, and that it ends, with each thing sent")
    )
    duplicate: float = attrs.field(default=0.0, metadata=key(CHANCE, "the chance that a datagram arrives twice"))
    reorder: float = attrs.field(default=0.0, metadata=key(CHANCE, "the chance that a datagram arrives later than those behind it"))
    corrupt: float = attrs.field(default=0.0, metadata=key(CHANCE, "the chance that a datagram arrives damaged"))
    short_reads: float = attrs.field(
        default=0.0, metadata=key(CHANCE, "the chance that a reader gets only some of a stream, where there are streams")
    )

    def apply(self, link: Link) -> None:
        """Make a link of the world like this."""
        for field in attrs.fields(LinkPart):
            if field.name in _LINK_FIELDS:
                setattr(link, field.name, getattr(self, field.name))
        if self.queue_bytes is not None:
            link.queue_bytes_max = self.queue_bytes


_LINK_FIELDS: Final = {field.name for field in attrs.fields(Link)}


@attrs.frozen(kw_only=True)
class Step:
    """`[[at]]`: something that happens. The keys of the action stand beside these.

    Attributes:
        action: an instance of a class that `actions.registry.ACTIONS` lists.
        line: where it stands in the file.
    """

    t: float = attrs.field(metadata=key(DURATION, "when, counted from the start of the world"))
    do: str = attrs.field(metadata=key(TEXT, "which action"))
    name: str | None = attrs.field(default=None, metadata=key(TEXT, "a name by which expectations refer to the answer"))
    action: Action
    line: int


@attrs.frozen(kw_only=True)
class Expected:
    """`[[expect]]`: something that must hold. The keys of the expectation stand beside `that`.

    Attributes:
        expectation: an instance of a class that `expectations.EXPECTATIONS` lists.
        line: where it stands in the file.
    """

    that: str = attrs.field(metadata=key(TEXT, "which expectation"))
    expectation: Expectation
    line: int


@attrs.frozen(kw_only=True)
class Scenario:
    """One file."""

    name: str = attrs.field(metadata=key(TEXT, "a few words"))
    description: str = attrs.field(metadata=key(TEXT, "what it shows, for a reader"))
    world: WorldPart
    platforms: tuple[PlatformPart, ...]
    links: tuple[LinkPart, ...]
    nats: tuple[NatPart, ...]
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
    path: str

    @property
    def cost(self) -> float:
        """About how much work one run is, to compare scenarios with: hours of all platforms together, and their start."""
        return len(self.platforms) * (self.world.for_s / 3_600.0 + START_COST_H)

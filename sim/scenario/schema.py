"""What a scenario file says, as frozen values.

Lives here: the tables of the file and their keys. Must not live here: reading (see `load`) or running (see `run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.settings import FederationSettings
from sim.scenario.actions.registry import Action
from sim.scenario.expectations import Expectation
from sim.scenario.kinds import (
    CHANCE,
    DURATION,
    NUMBER,
    PAIR,
    PLATFORMS,
    SCHEDULE,
    SIGNED_DURATION,
    SPAN,
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
    return found


SETTINGS: Final[Mapping[str, tuple[str, Kind]]] = _settings()
"""Federation settings that a `[[platform]]` may give."""


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
    clock_offset_s: float = attrs.field(default=0.0, metadata=key(SIGNED_DURATION, "how far its wall clock is ahead", "clock_offset"))
    clock_drift: float = attrs.field(default=0.0, metadata=key(NUMBER, "seconds that its wall clock gains per second"))
    fsync_s: float = attrs.field(default=0.0, metadata=key(DURATION, "how long its disk takes for a commit", "fsync"))
    level: str | None = attrs.field(
        default=None,
        metadata=key(
            one_of("frames", "sockets", "recorded"),
            "the level of this platform; bytes travel where both ends are at `sockets`; `recorded` plays what `sim record` wrote",
        ),
    )
    settings: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LinkPart:
    """`[[link]]`: the way between two platforms, in both directions."""

    between: tuple[str, str] = attrs.field(metadata=key(PAIR, "the two ends"))
    latency_s: tuple[float, float] = attrs.field(
        default=(0.005, 0.020), metadata=key(SPAN, "how long a request or an answer is under way", "latency")
    )
    loss: float = attrs.field(default=0.0, metadata=key(CHANCE, "the chance that a request or an answer never arrives"))


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
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
    path: str

    @property
    def cost(self) -> float:
        """About how much work one run is, to compare scenarios with: hours of all platforms together, and their start."""
        return len(self.platforms) * (self.world.for_s / 3_600.0 + START_COST_H)

"""What happens to a whole platform: a disk that is put back or lost, a message that its handler cannot bear, memory that runs short.

Lives here: mishaps of one host that take more than a switch. Must not live here: the network's (see `network`, `links`, `names`, `nat`),
or when they happen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.registry import ACTORS, KINDS, ON_RESTORE
from runtime.actor import Actor
from runtime.store.backup import rejuvenate
from sim.identities import another
from sim.store import Disk, MemoryStore

if TYPE_CHECKING:
    from sim.world import Host


class PlantedError(RuntimeError):
    """Raised by a poisoned handler."""


def restore(host: Host, backup: MemoryStore) -> None:
    """Replace the disk of a host by an earlier copy, as `powernode restore` does, and start it as an earlier platform."""
    if host.running:
        host.crash()
    earlier = backup.image()
    rejuvenate(earlier, ON_RESTORE)
    host.store.write_image(earlier)
    host.restart()


def wipe(host: Host) -> None:
    """Take everything from a host, its keys and its identity included, and start it as a new platform under the same name."""
    if host.running:
        host.crash()
    host.become(another(host.who))
    host.token = ""
    host.store.write_image(MemoryStore(KINDS, disk=Disk()))
    disk = host.store.disk
    disk.full, disk.failures_ahead, disk.fsync_s = False, 0, 0.0
    host.restart()


def poison(host: Host, kind: str, message_name: str, times: int, on_crash: Callable[[], None] = lambda: None) -> None:
    """Let the next `times` messages of a type crash their handler in actors of a kind; `on_crash` is called before each.

    Raises:
        KeyError: there is no such kind, or it handles no such message.
    """
    actor = ACTORS[kind]
    message_type = next((each for each in actor.handlers if each.__name__ == message_name), None)
    if message_type is None:
        raise KeyError(message_name)
    handler, left = actor.handlers[message_type], times

    def crash(self: Any, message: Any, ctx: Any) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            on_crash()
            raise PlantedError(f"{message_name} was poisoned")
        handler(self, message, ctx)

    poisoned: type[Actor] = type(actor.__name__, (actor,), {})
    poisoned.handlers = {**actor.handlers, message_type: crash}
    host.engine.swap_actors(kind, poisoned)


def handled_messages(kind: str) -> list[str]:
    """Names of the messages that actors of a kind handle."""
    return sorted(each.__name__ for each in ACTORS[kind].handlers)


def passivate(host: Host) -> int:
    """Let every idle actor leave memory, as under pressure; how many did."""
    return sum(host.engine.passivate(ref) for ref in list(host.engine.in_memory))


def stop_all(host: Host) -> None:
    """End every mishap of a host that can end by itself: its disk has room and is fast, its process runs freely, its authority signs."""
    disk = host.store.disk
    disk.full, disk.failures_ahead = False, 0
    host.authority.down = False
    host.slow(0.0)
    host.slow_disk(0.0)
    host.ports_s = 0.0
    host.archive.trouble("none", host.world.timeline.now)
    if host.paused:
        host.unpause()

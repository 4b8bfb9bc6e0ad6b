"""What every command is given: where the daemon is, who is asking, and the doors to time and network.

Lives here: the options shared by all commands, and the object that carries them. Must not live here: requests (see `client`).
Tests hand in an `Application` with other doors; nothing else is replaced.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import attrs
import click

from api.cli.failures import Exit, Failure

if TYPE_CHECKING:
    import trio

    from api.cli.event_stream import EventSource
    from api.cli.transport import Transport
    from runtime.clock import Clock

DEFAULT_URL: Final = "http://127.0.0.1:3000"
SECRET_FILE_BYTES_MAX: Final = 65_536

P = ParamSpec("P")
T = TypeVar("T")


def _system_clock() -> Clock:
    from runtime.clock import SystemClock

    return SystemClock()


def _net_transport() -> Transport:
    from api.cli.transport import over_net

    return over_net


def _websocket_events() -> EventSource:
    from api.cli.event_stream import over_websocket

    return over_websocket


@attrs.define
class Application:
    """One run of the command line.

    Attributes:
        url: base URL of the daemon's operator API.
        token_file: file with a bearer token, `-` for standard input, or None.
        ca_file: PEM file of the CA that the daemon's certificate must come from, or None for public CAs.
        as_json: whether the caller wants JSON.
        trio_clock: clock for trio, or None for the real one.
        interactive: whether somebody sits at standard input who can be asked.
    """

    url: str = DEFAULT_URL
    token_file: str | None = None
    ca_file: Path | None = None
    as_json: bool = False
    clock: Clock = attrs.field(factory=_system_clock)
    transport: Transport = attrs.field(factory=_net_transport)
    events: EventSource = attrs.field(factory=_websocket_events)
    trio_clock: trio.abc.Clock | None = None
    interactive: Callable[[], bool] = lambda: sys.stdin.isatty()
    _read_token: str | None = None

    def run(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function to its end."""
        import trio

        return trio.run(function, *arguments, clock=self.trio_clock)

    def given_token(self) -> str | None:
        """A token from `--token-file` or POWERNODE_TOKEN, or None if neither is given."""
        if self.token_file is None:
            return os.environ.get("POWERNODE_TOKEN") or None
        if self._read_token is None:
            self._read_token = read_secret_file(self.token_file, "token")
        return self._read_token

    def ca_pem(self) -> str | None:
        """The text of `--ca-file`."""
        if self.ca_file is None:
            return None
        try:
            return self.ca_file.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure("ca_file_unreadable", f"the CA file {self.ca_file} cannot be read: {error}", Exit.USAGE) from None

    def config_dir(self) -> Path:
        """Our folder among the user's configuration (XDG base directories)."""
        base = os.environ.get("XDG_CONFIG_HOME")
        return (Path(base) if base else Path.home() / ".config") / "powernode"


def read_secret_file(name: str, label: str) -> str:
    """The stripped text of a small file, `-` being standard input.

    Raises:
        Failure: unreadable, empty or too large. The message holds neither content nor name, for a name that leads nowhere may be
            the secret itself.
    """
    place = "standard input" if name == "-" else "the file"
    try:
        with click.open_file(name, "r", encoding="utf-8") as stream:
            text: str = stream.read(SECRET_FILE_BYTES_MAX + 1)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise Failure("secret_unreadable", f"the {label} cannot be read from {place}: {reason}", Exit.USAGE) from None
    if not text.strip() or len(text) > SECRET_FILE_BYTES_MAX:
        raise Failure("secret_unreadable", f"{place} for the {label} is empty or too large", Exit.USAGE)
    return text.strip()


def current() -> Application:
    """The application of the running command."""
    found = click.get_current_context().find_object(Application)
    assert found is not None
    return found


# --- Options --------------------------------------------------------------------------------------------------------


def _store(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        application = ctx.find_object(Application)
        if application is not None and value not in (None, False):
            setattr(application, attribute, value)

    return keep


def json_option(function: Callable[P, T]) -> Callable[P, T]:
    """Add `--json`."""
    # Eager, so that a wrong argument further left is already reported as JSON.
    option = click.option(
        "--json", "connection_json", is_flag=True, is_eager=True, expose_value=False, callback=_store("as_json"), help="Print JSON."
    )
    return option(function)


def connected(function: Callable[P, T]) -> Callable[P, T]:
    """Add `--json` and the options that lead to a daemon."""
    options = (
        click.option(
            "--url",
            "connection_url",
            envvar="POWERNODE_URL",
            expose_value=False,
            callback=_store("url"),
            metavar="URL",
            help=f"Address of the daemon; also POWERNODE_URL.  [default: {DEFAULT_URL}]",
        ),
        click.option(
            "--token-file",
            "connection_token_file",
            expose_value=False,
            callback=_store("token_file"),
            metavar="FILE",
            help="File with a bearer token, - for standard input. Without it: POWERNODE_TOKEN, then the session of `powernode login`.",
        ),
        click.option(
            "--ca-file",
            "connection_ca_file",
            type=click.Path(path_type=Path),
            envvar="POWERNODE_CA_FILE",
            expose_value=False,
            callback=_store("ca_file"),
            metavar="FILE",
            help="PEM certificate of the platform's CA, for an https URL; also POWERNODE_CA_FILE.",
        ),
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function

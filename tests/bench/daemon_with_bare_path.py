"""The real daemon with one path more, `/bare`, which a bare ASGI callable answers: what its own listener costs without its application.

Run as `python -m tests.bench.daemon_with_bare_path serve …`. The bare answer is, octet for octet, the first answer that the federation
API has given, so both are equally long and go through the same listener, connection and client certificate.
"""

from __future__ import annotations

from typing import Any

from actors.door.routes import FEDERATION
from api.composition import Composition
from api.http import HttpApp


class WithBarePath:
    """The platform's application and the bare one beside it."""

    def __init__(self, app: HttpApp) -> None:
        self._app = app
        self._answer: list[Any] = []
        self.load = app.load

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if scope["path"] == "/bare":
                for message in self._answer:
                    await send(message)
                return
            if not self._answer and scope["path"] == f"{FEDERATION}/trust_bundle":
                send = self._remembering(send)
        await self._app(scope, receive, send)

    def _remembering(self, send: Any) -> Any:
        async def remember(message: Any) -> None:
            self._answer.append(message)
            await send(message)

        return remember


compose = Composition.faces


def faces(self: Composition) -> Any:
    return WithBarePath(compose(self))


Composition.faces = faces  # type: ignore[assignment, method-assign]

if __name__ == "__main__":
    from api.cli import main

    main()

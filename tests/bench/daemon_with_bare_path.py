"""The real daemon with more paths, `/bare/…`, which a bare ASGI callable answers: what its own listener costs without its application.

Run as `python -m tests.bench.daemon_with_bare_path serve …`. The bare answer of a path is, octet for octet, the first answer that the
federation API has given under that path, so both are equally long and go through the same listener, connection and client certificate.
"""

from __future__ import annotations

from typing import Any

from actors.door.routes import FEDERATION
from api import composition
from api.faces import Faces
from api.http import HttpApp

BARE = "/bare"


class WithBarePath:
    """The platform's application and the bare one beside it."""

    def __init__(self, app: HttpApp) -> None:
        self._app = app
        self.load = app.load
        self._answers: dict[str, list[Any]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith(BARE):
                for message in self._answers[path.removeprefix(BARE)]:
                    await send(message)
                return
            if path.startswith(FEDERATION) and path not in self._answers:
                send = self._remembering(path, send)
        await self._app(scope, receive, send)

    def _remembering(self, path: str, send: Any) -> Any:
        kept = self._answers[path] = []

        async def remember(message: Any) -> None:
            kept.append(message)
            await send(message)

        return remember


class HttpAppWithBarePath(WithBarePath):
    """What the composition makes in place of the platform's application."""

    def __init__(self, faces: Faces) -> None:
        super().__init__(HttpApp(faces))


composition.HttpApp = HttpAppWithBarePath  # type: ignore[assignment, misc]

if __name__ == "__main__":
    from api.cli import main

    main()

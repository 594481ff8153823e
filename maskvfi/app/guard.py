"""What the server refuses: requests that other web sites send, and those that would have gradio ask other machines."""

from __future__ import annotations

import ipaddress
import json
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"  # the browser enforces it
EVERYWHERE = ("0.0.0.0", "[::]")  # stand for all addresses of this machine
UPLOAD = "/gradio_api/upload"  # takes files, which may be large, and no JSON
REMOTE = ("http:", "https:")
NOT_FETCHED = "files of other machines are not fetched"


class Guard:
    """ASGI middleware. It adds `POLICY` to every response, and refuses requests with a line of text.

    Args:
        app: What answers the other requests.
        host: The address or name that the server listens at.
    """

    def __init__(self, app: Any, host: str) -> None:
        self._app = app
        self._names = {"localhost", host.lower()}
        if host in EVERYWHERE:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_confined(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        refusal = self._refusal(scope)
        if not refusal and scope["method"] == "POST" and scope["path"] != UPLOAD:
            body, receive = await _read(receive)
            refusal = NOT_FETCHED if _names_remote_file(body) else ""
        if refusal:
            await send_confined({"type": "http.response.start", "status": 403, "headers": []})
            await send_confined({"type": "http.response.body", "body": refusal.encode()})
        else:
            await self._app(scope, receive, send_confined)

    def _refusal(self, scope: Any) -> str:
        """Why a request is refused, as far as its path and headers tell; empty if it is not."""
        headers = {key: value.decode("latin-1").lower() for key, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if not self._is_own(host):
            return "the page does not have this name: open it by the address that maskvfi ui prints, or by IP address"
        if scope["method"] not in ("GET", "HEAD") and origin is not None and _netloc(origin) != host:
            return "the request comes from another web site"
        if scope["path"].partition("=")[2].startswith(REMOTE):
            return NOT_FETCHED
        return ""

    def _is_own(self, host: str) -> bool:
        """Whether a Host header is one of this server.

        A web site can have its own name lead to this machine (DNS rebinding), but it cannot be an IP address.
        """
        with suppress(ValueError):
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._names or bool(ipaddress.ip_address(name))
        return False


def _netloc(origin: str) -> str:
    with suppress(ValueError):
        return urlsplit(origin).netloc
    return ""


async def _read(receive: Any) -> tuple[bytes, Any]:
    """Read the body of a request. Returns it, and what gives the same messages again and then those that follow."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    waiting = iter(messages)

    async def receive_again() -> Any:
        return next(waiting, None) or await receive()

    return b"".join(message.get("body", b"") for message in messages), receive_again


def _names_remote_file(body: bytes) -> bool:
    """Whether JSON has a file whose path is an address: gradio would download it."""
    paths: list[Any] = []
    with suppress(ValueError):
        json.loads(body, object_hook=lambda each: paths.append(each.get("path")))
    return any(isinstance(path, str) and path.lower().startswith(REMOTE) for path in paths)

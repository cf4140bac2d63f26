"""Who may come in: whoever has the token or the password, from the studio's own pages.

Other pages in the same browser must not use the studio: their requests carry a foreign Origin, and
names that they let point to this machine a foreign Host.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ablations.studio.options import LOOPBACK
from ablations.studio.state import Studio
from ablations.studio.web.pages import page

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every reply says, unless it says otherwise itself."""

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")  # with its port
OPEN = "/assets/"  # style and scripts hold no secrets: the page that asks for a password needs them
TRIES, SECONDS = 10, 60.0  # wrong passwords that are heard in so long


class Access:
    """ASGI around the pages. Every other request is refused with a page that says why."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app, self.studio = app, studio
        self.session = secrets.token_urlsafe(32)
        self.wrong: deque[float] = deque(maxlen=TRIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive)
            reply = await self._instead(request)
            await (reply or self.app)(scope, receive, self._with_headers(send))

    async def _instead(self, request: Request) -> Response | None:
        """What is answered instead of the page; None for whoever may see it."""
        if not self._from_here(request):
            return refuse(HTTPStatus.FORBIDDEN, "This request comes from another page or host.")
        path = request.scope["path"]  # that of request.url depends on what Host says
        if self.studio.options.public or path.startswith(OPEN):
            return None
        if path == "/login" and request.method == "POST":
            return await self._login(request)
        given = request.query_params.get("token")
        if given is not None and request.method == "GET":
            return self._enter(request) if same(given, self.studio.token) else self._ask()
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        cookie = request.cookies.get(self._cookie(request), "")
        if same(bearer, self.studio.token) or same(cookie, self.session):
            return None
        return self._ask()

    def _from_here(self, request: Request) -> bool:
        """Whether host and origin are the studio's own."""
        host = request.headers.get("host", "")
        named = HOST.fullmatch(host)
        local = self.studio.options.host in LOOPBACK and not self.studio.options.public
        if named is None or (local and named[1].strip("[]") not in LOOPBACK):
            return False
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return False
        moving = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
        # "same-site" are other ports of this machine too: their requests bring our cookie along.
        return moving or request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")

    async def _login(self, request: Request) -> Response:
        password, body = self.studio.options.password, b""
        async for part in request.stream():
            body += part
            if len(body) > 10_000:
                return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is not a password.")
        # From here on nothing is waited for: tries that come at once are counted one by one.
        now = time.monotonic()
        while self.wrong and now - self.wrong[0] > SECONDS:
            self.wrong.popleft()
        if len(self.wrong) == TRIES:
            said = "There were too many wrong passwords: wait a minute."
            return self._ask(HTTPStatus.TOO_MANY_REQUESTS, said)
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        if password and same(given, password):
            return self._enter(request)
        self.wrong.append(now)
        return self._ask(said="That is not the password.")

    def _enter(self, request: Request) -> Response:
        """Let the browser in, and take the token out of its address."""
        rest = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
        asked = request.scope["path"]
        path = "/" if asked == "/login" else "/" + asked.lstrip("/\\")
        target = path + (f"?{urlencode(rest)}" if rest else "")
        reply = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        reply.set_cookie(self._cookie(request), self.session, httponly=True, samesite="strict")
        return reply

    def _ask(self, status: HTTPStatus = HTTPStatus.UNAUTHORIZED, said: str = "") -> Response:
        known = bool(self.studio.options.password)
        reply = page("enter.html.j2", status, said=said, has_password=known)
        # Under no-referrer a browser sends this page's form with the Origin "null".
        reply.headers["referrer-policy"] = "same-origin"
        return reply

    def _cookie(self, request: Request) -> str:
        """Cookies do not know ports: two studios on one machine have two names."""
        return f"lsmseg-studio-{(request.scope.get('server') or ('', 0))[1]}"

    def _with_headers(self, send: Send) -> Send:
        public = self.studio.options.public
        policy = POLICY + ("frame-ancestors *" if public else "frame-ancestors 'none'")

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.decode("latin-1").lower() for name, _ in message["headers"]}
                more = {**HEADERS, "content-security-policy": policy}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in more.items() if k not in there),
                ]
            await send(message)

        return sent


def same(given: str, right: str) -> bool:
    """Whether two secrets are equal; how long it takes does not tell how far."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), right.encode())


def refuse(status: HTTPStatus, said: str) -> Response:
    """A line of text that refuses a request."""
    return Response(said, status, media_type="text/plain")

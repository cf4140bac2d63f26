"""What each failure of each provider means: whom it concerns, its cause, whether it is billed.

Providers disagree: `insufficient_quota` is final at OpenAI and a passing throttle in DashScope's
OpenAI-compatible mode, so each has its own table.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.llm.base import ErrorScope, Reply
from lsmseg_prompts.llm.keys import shown_url

# Not about trust: the connection was cut, or not ready in time, while TLS was being agreed on.
_CUT = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Passing(Exception):
    """A call beside the questions (files, batches) failed for now; `reply` says how."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.error_message)
        self.reply = reply


class Gone(ConfigurationError):
    """The provider does not have (any more) what a call beside the questions names."""


@dataclass(frozen=True)
class Failure:
    """`kind` becomes the reply's `error_class`."""

    scope: ErrorScope
    kind: str
    message: str
    billed: bool = False


_FILTERED = re.compile(
    r"content.?(filter|policy|management)|responsible.?ai|data.?inspection|safety system", re.I
)
_TOO_LONG = re.compile(r"context.?length|maximum context|context window|too many tokens", re.I)
_NO_MODEL = re.compile(
    r"model.?not.?found|model_not_exist|invalid model|models?\b.{0,80}\b(does not exist|not found)",
    re.I,
)
_NO_MONEY = re.compile(
    r"insufficient_quota|billing|account_deactivated|credit.?balance|arrearage", re.I
)
# In the message of an error that is not a throttle, whose code says nothing of money.
_NO_MONEY_SAID = re.compile(
    r"credit.?balance|insufficient.{0,3}(funds|balance|credits?|quota)|exceeded your.{0,20}quota"
    r"|(not|n't|no).{0,12}credits|out of credits|spend(ing)? limit|billing (is |account |hard )",
    re.I,
)
_BAD_KEY = re.compile(
    r"api.?key.?(is )?(not.?valid|invalid|expired|missing)|(invalid|incorrect|expired|missing)"
    r".{0,12}(api.?key|authentication|x-api-key)|API_KEY_INVALID|invalid_api_key"
    r"|no_db_connection|no connected db",  # LiteLLM without a database, of a wrong key
    re.I,
)


_NO_PICTURES = re.compile(
    r"not a (multi-?modal|vision)|image_url.{0,40}only supported|unknown variant .?image_url"
    r"|at most 0 image|data required for image|content must be a string"
    r"|(images?|pictures?|vision|multi-?modal)( inputs?| contents?| data)* (is|are) not "
    r"(supported|enabled|allowed|available)"
    r"|(not|n't) (support|accept|take|have|handle)( \w+){0,2} "
    r"(images?|pictures?|vision|multi-?modal)"
    r"|no endpoints found that support image",
    re.I,
)
"""What servers say of a question with pictures, where the model takes none."""

MOST_SAID = 400
"""So many characters of a server's words are shown."""


def error_details(body: Any) -> tuple[str, str, str]:
    """(code, message, parameter named) of an error body in any of the usual forms."""
    if isinstance(body, list) and body and isinstance(body[0], dict):  # Google's
        body = body[0]
    if isinstance(body, dict):
        error = body.get("error", body.get("detail", body))
        if isinstance(error, dict):
            code = error.get("code")
            if not code or str(code).isdigit():  # a number is the status once more
                code = error.get("status") or error.get("type") or ""
            message = error.get("message") or error.get("detail") or error.get("msg") or ""
            return _line(code), _line(message), str(error.get("param") or "")
        return _line(body.get("code") or ""), _line(error), ""
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", str(body), flags=re.I | re.S)
    return "", _line(text)[:300], ""


def delay_in_error(body: Any) -> float | None:
    """The seconds to wait that an error of Google's names in its details; None without."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and re.fullmatch(r"\d{1,6}(\.\d{1,9})?s", delay):
            return float(delay[:-1])
    return None


def _line(said: Any) -> str:
    """What a server says, for a terminal: one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(said)).split())


def openai_failure(status: int, body: Any, url: str, model: str) -> Failure:
    """What an error answer of a server that speaks OpenAI's protocol means.

    Args:
        status: the HTTP status.
        body: its parsed JSON, or its text.
        url: the base URL.
        model: the model that was asked.
    """
    code, message, said = _said(status, body, url)
    both = f"{code} {message}"
    if status != 429 and _NO_PICTURES.search(message):
        return _no_pictures(model, said)
    if status == 401 or (status in (400, 403) and _BAD_KEY.search(both)):
        return Failure("setup", "Key", f"The key was refused: {said}")
    if status in (400, 403) and _NO_MONEY_SAID.search(message):
        return Failure("account", "Quota", f"The quota or credit is used up: {said}")
    if status == 403:
        if is_dashscope(url) and re.search(r"AllocationQuota|FreeTierOnly", both, re.I):
            return Failure("account", "Quota", f"The quota is used up: {said}")
        return Failure("setup", "Forbidden", f"This key may not use {model}: {said}")
    if status in (400, 404, 422) and _NO_MODEL.search(both):
        return Failure("setup", "NotFound", f"There is no model {model!r} there: {said}")
    if status == 404:
        hint = "" if urlsplit(url).path.rstrip("/") else " Is /v1 missing in the base URL?"
        return Failure("setup", "NotFound", f"There is no such thing: {said}{hint}")
    if status == 405 or 300 <= status < 400:
        return Failure("setup", "BaseURL", f"{shown_url(url)} is not the base URL: {said}")
    if status == 402:
        return Failure("account", "Payment", f"The account wants payment: {said}")
    if status == 407:
        return Failure("setup", "Proxy", f"The proxy wants a name and a password: {said}")
    if status == 429:
        # Google says "exceeded your current quota" of a minute's, too; OpenAI of the account's.
        openais = re.search(r"current quota.*(platform\.openai|plan and billing details)", message)
        spent = _NO_MONEY.search(code) or (openais and delay_in_error(body) is None)
        if spent and not is_dashscope(url) and "ai.google.dev" not in message:
            return Failure("account", "Quota", f"The quota or credit is used up: {said}")
        return Failure("throttled", "RateLimit", f"Too many requests: {said}")
    if status in (408, 409, 425) or status >= 500:
        return Failure("passing", f"HTTP{status}", f"The provider failed for now: {said}")
    if _FILTERED.search(both):
        return Failure("cell", "ContentFilter", f"The question was filtered: {said}")
    if _NO_MONEY.search(code):
        return Failure("account", "Quota", f"The quota or credit is used up: {said}")
    if _TOO_LONG.search(both):
        return Failure("cell", "TooLong", f"The question is too long for {model}: {said}")
    return Failure("cell", f"HTTP{status}", f"The question was refused: {said}")


def dashscope_failure(status: int, body: Any, url: str, model: str) -> Failure:
    """What an error answer of DashScope's own API means.

    Args:
        status: the HTTP status.
        body: its parsed JSON, or its text.
        url: the base URL.
        model: the model that was asked.
    """
    code, message, said = _said(status, body, url)
    if status != 429 and _NO_PICTURES.search(message):
        return _no_pictures(model, said)
    if code.startswith("Arrearage") or status == 402:
        return Failure("account", "Payment", f"The account wants payment: {said}")
    if code.startswith(("AllocationQuota", "FreeTierOnly")) and status != 429:
        return Failure("account", "Quota", f"The quota is used up: {said}")
    if status == 401 or code == "InvalidApiKey":
        return Failure("setup", "Key", f"The key was refused: {said}")
    if status == 403:
        return Failure("setup", "Forbidden", f"This key may not use {model}: {said}")
    if status == 404 or code.startswith("ModelNotFound"):
        return Failure("setup", "NotFound", f"There is no model {model!r} there: {said}")
    if status == 405 or 300 <= status < 400:
        return Failure("setup", "BaseURL", f"{shown_url(url)} is not the base URL: {said}")
    if status == 407:
        return Failure("setup", "Proxy", f"The proxy wants a name and a password: {said}")
    if status == 429 or code.startswith("Throttling"):
        return Failure("throttled", "RateLimit", f"Too many requests: {said}")
    if status in (408, 409, 425) or status >= 500:
        return Failure("passing", f"HTTP{status}", f"The provider failed for now: {said}")
    if _FILTERED.search(code):
        return Failure("cell", "ContentFilter", f"The question was filtered: {said}")
    if re.search(r"model not exist|^url error", message, re.I):  # the address is the model's kind's
        return Failure("setup", "Unsupported", f"{model!r} cannot be asked like this: {said}")
    if re.search(r"range of input length|context", message, re.I):
        return Failure("cell", "TooLong", f"The question is too long for {model}: {said}")
    return Failure("cell", f"HTTP{status}", f"The question was refused: {said}")


def _no_pictures(model: str, said: str) -> Failure:
    cure = "Name one that does, such as --llm gpt-4o or qwen-vl-max."
    return Failure("setup", "NoPictures", f"{model} does not take pictures: {said} {cure}")


def _said(status: int, body: Any, url: str) -> tuple[str, str, str]:
    """(code, message, both as the end of a sentence) of an error answer."""
    code, message, _ = error_details(body)
    message = re.sub(r" LiteLLM: model group .*? No fallback was attempted\.?", "", message)
    if len(message) > MOST_SAID:
        message = message[:MOST_SAID] + " ..."
    said = f"{_host(url)} answered {status}" + (f" ({code})" if code else "")
    return code, message, said + (f": {message.rstrip('.!? ')}." if message else ".")


def connection_failure(error: BaseException, url: str, timeout: float) -> Failure:
    """What kept the connection to `url` from being made or ended it; `timeout` in seconds."""
    causes = list(_causes(error))
    names = {base.__name__ for cause in causes for base in type(cause).__mro__}
    host, proxy, passing = _host(url), proxy_of(url), partial(Failure, "passing")
    tls = next((c for c in causes if isinstance(c, ssl.SSLError) and not isinstance(c, _CUT)), None)
    if tls is not None:
        return Failure("setup", "TLS", _tls_message(tls, host))
    if names & {"ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"} or (
        proxy and names & {"ConnectError", "ConnectTimeout", "ClientConnectorError"}
    ):
        return passing(
            "Proxy",
            f"The proxy {proxy or ''} did not connect to {host} ({_words(error)}): correct "
            "HTTPS_PROXY or HTTP_PROXY, or put the host in NO_PROXY.".replace("  ", " "),
        )
    if names & {"gaierror", "ClientConnectorDNSError"}:
        return passing(
            "DNS", f"The host name {host} cannot be found: check its spelling and the network."
        )
    if names & {"ConnectTimeout", "ConnectionTimeoutError"}:
        return passing(
            "Timeout",
            f"{host} did not take the connection in time: see that the server runs and that no "
            "firewall is in between.",
        )
    if "TimeoutError" in names or any("Timeout" in name for name in names):
        return passing(
            "Timeout",
            f"{host} did not answer within {timeout:g} s: it may be busy; --timeout waits longer.",
            billed=True,
        )
    if "ConnectionRefusedError" in names:
        return passing("Refused", f"{host} refuses connections: see that the server runs there.")
    if names & {"ConnectError", "ClientConnectorError"}:
        return passing("Refused", f"{host} cannot be reached: {_words(error)}.")
    if names & {"InvalidURL", "UnsupportedProtocol", "LocalProtocolError", "NonHttpUrlClientError"}:
        return Failure("setup", "BaseURL", f"{shown_url(url)} cannot be called: {_words(error)}.")
    return passing("Reset", f"{host} cut the connection ({_words(error)}).", billed=True)


def unusable(error: BaseException, url: str) -> Failure:
    """A base URL or proxy that the HTTP library refuses before it connects."""
    if proxy := proxy_of(url):
        return Failure("setup", "Proxy", f"The proxy {proxy} cannot be used: {_words(error)}.")
    return Failure("setup", "BaseURL", f"{shown_url(url)} cannot be called: {_words(error)}.")


def proxy_of(url: str) -> str | None:
    """host:port of the proxy that the environment names for `url`, for messages only."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy.rpartition("@")[2].rpartition("://")[2].rstrip("/")


def _causes(error: BaseException | None, depth: int = 0) -> Iterator[BaseException]:
    """The error and all that led to it, through groups too."""
    if error is None or depth > 12:
        return
    yield error
    for inner in getattr(error, "exceptions", ()):
        yield from _causes(inner, depth + 1)
    yield from _causes(error.__cause__ or error.__context__, depth + 1)


def _words(error: BaseException) -> str:
    """The innermost message that says anything."""
    texts = [str(cause).strip().rstrip(".") for cause in _causes(error)]
    said = [text for text in texts if text and text != "Connection error"]
    return said[-1] if said else type(error).__name__


def _tls_message(error: BaseException, host: str) -> str:
    words = _words(error)
    if re.search(r"wrong.version.number|record layer|unknown.protocol", words, re.I):
        return f"{host} does not speak TLS: does its base URL start with http:// instead?"
    return (
        f"The TLS certificate of {host} cannot be verified ({words}): set SSL_CERT_FILE to the "
        "certificates of the authority that signed it."
    )


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or shown_url(url)


def is_dashscope(url: str) -> bool:
    """Whether `url` is DashScope's, in whichever of its protocols."""
    return (urlsplit(url).hostname or "").endswith(".aliyuncs.com")

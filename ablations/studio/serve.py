"""Opening the studio: the server, and the address that lets one in."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ablations.studio.options import LOOPBACK, StudioOptions
from lsmseg_prompts.errors import ConfigurationError

GRACE = 1  # seconds


def studio(options: StudioOptions, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the studio until it is interrupted by Ctrl-C or SIGTERM.

    Requests that are under way then have GRACE seconds to end. Threads of the model may still be at
    work afterwards; commands that were started from the studio go on.

    Args:
        options: What it is opened with.
        on_ready: Told the address, with its token, once it answers.

    Raises:
        UsageError, DataError: For data and vocabularies that are not there.
        Interrupted: Always in the end, if called in the main thread.
        ConfigurationError: Without the packages of the extra `[studio]`, and for an address that
            cannot be listened at.
    """
    try:
        import uvicorn

        from ablations.studio.app import create_app
    except ImportError as error:
        raise ConfigurationError(
            f"The studio needs the package {error.name}: pip install 'lsmseg-prompts[studio]'."
        ) from error
    from ablations.studio.state import Studio

    opened = Studio(options)
    _ = opened.vocabulary  # a wrong name is said here, not on a page
    listener = listen(options)
    opened.load()
    address = address_of(listener, options.host)
    app = create_app(opened)
    config = uvicorn.Config(
        app, log_level="critical", server_header=False, date_header=False, ws="none",
        timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    if on_ready:
        on_ready(f"{address}/" if options.public else f"{address}/?token={opened.token}")
    server = uvicorn.Server(config)
    with listener, _signals(server) as heard:
        server.run(sockets=[listener])
    for number in heard:
        raise Interrupted(128 + number)


class Interrupted(KeyboardInterrupt):
    """The studio was told to end; ``exit_code`` is what the process ends with."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


@contextmanager
def _signals(server: Any) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM end a server, the second time without waiting for requests.

    The server's own handling is left out: it sends itself the signal again in the end, of which
    SIGTERM kills the process before anything is said.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def stop(number: int, frame: FrameType | None) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True
        heard.append(number)

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    server.capture_signals = nothing
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(options: StudioOptions) -> socket.socket:
    """What connections come in through. Raises ConfigurationError where that is not possible."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"The studio cannot listen at {options.host}, port {options.port}: {error.strerror}; "
            "choose another --port."
        ) from error
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """What a browser on this machine opens."""
    name = host if host in LOOPBACK else "127.0.0.1"
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"

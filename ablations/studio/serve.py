"""Opening the studio: the server, and the address that lets one in."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ablations.studio.options import LOOPBACK, StudioOptions
from lsmseg_prompts.errors import ConfigurationError


def studio(options: StudioOptions, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the studio until it is interrupted.

    Args:
        options: What it is opened with.
        on_ready: Told the address, with its token, once it answers.

    Raises:
        UsageError, DataError: For data and vocabularies that are not there.
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
        app, log_level="warning", server_header=False, date_header=False, ws="none",
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    if on_ready:
        on_ready(f"{address}/" if options.public else f"{address}/?token={opened.token}")
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


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

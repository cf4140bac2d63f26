"""What keeps a provider from being reached, told by its true cause: names, ports, proxies, TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.provider_calls import ASK, BOTH, ask, ask_at, bare_network, build, said
from support.scripted_http import CUT, HANG, Scripted, answer, with_server

from lsmseg_prompts.llm import Reply


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    bare_network(monkeypatch)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@BOTH
def test_nobody_listens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    reply = ask_at(name, f"http://127.0.0.1:{port}", monkeypatch)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("passing", "Refused", False)
    said = f"127.0.0.1:{port} refuses connections: see that the server runs there."
    assert reply.error_message == said


@BOTH
def test_no_such_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", missing)
    reply = ask_at(name, "http://no-such-host.invalid", monkeypatch)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("passing", "DNS", False)
    assert "no-such-host.invalid cannot be found" in (reply.error_message or "")


@BOTH
def test_a_connection_that_is_never_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (one, two):  # the queue is full now, and further ones are let wait
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        address = f"http://127.0.0.1:{full.getsockname()[1]}"
        reply = ask_at(name, address, monkeypatch, timeout=0.5)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("passing", "Timeout", False)
    assert "did not take the connection" in (reply.error_message or "")


@BOTH
def test_the_proxy_is_down(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{port}")
    reply = ask_at(name, "http://llm.example", monkeypatch)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("passing", "Proxy", False)
    assert f"127.0.0.1:{port}" in (reply.error_message or "")
    assert "NO_PROXY" in (reply.error_message or "") and "secret" not in str(reply)


@BOTH
def test_the_proxy_refuses_the_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(server: Scripted) -> Reply:
        monkeypatch.setenv("HTTPS_PROXY", server.address)
        llm = build(name, "https://llm.example", monkeypatch)
        reply = await llm.complete(ASK)
        await llm.close()
        return reply

    reply = with_server([answer("no", 403)], use)
    assert (reply.error_scope, reply.error_class) == ("passing", "Proxy")
    assert "llm.example" in (reply.error_message or "")


@BOTH
def test_a_proxy_of_a_kind_that_cannot_be_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1:70")
    reply = ask_at(name, "http://llm.example", monkeypatch)
    assert reply.error_class == "Proxy" and "127.0.0.1:70" in (reply.error_message or "")


@BOTH
def test_the_proxy_is_used_and_no_proxy_honoured(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    [reply], _ = ask(name, [answer(said(name))], monkeypatch)
    assert reply.text


@BOTH
def test_the_server_speaks_no_tls(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(server: Scripted) -> Reply:
        llm = build(name, server.address.replace("http:", "https:"), monkeypatch)
        reply = await llm.complete(ASK)
        await llm.close()
        return reply

    reply = with_server([answer("hello")], use)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("setup", "TLS", False)
    assert "http://" in (reply.error_message or "")


@BOTH
@pytest.mark.parametrize("script", [CUT, HANG])
def test_a_cut_while_tls_is_agreed_on_says_nothing_of_trust(
    name: str, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(server: Scripted) -> Reply:
        llm = build(name, server.address.replace("http:", "https:"), monkeypatch, timeout=0.5)
        reply = await llm.complete(ASK)
        await llm.close()
        return reply

    reply = with_server([script], use)
    assert reply.error_scope == "passing"
    assert reply.error_class in (("Timeout",) if script is HANG else ("Reset", "Refused"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command makes the certificate")
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {file} -out {file}.crt"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@BOTH
def test_an_unknown_certificate_and_ssl_cert_file(
    name: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    [reply], server = ask(name, [answer(said(name))], monkeypatch, tls=tls)
    assert (reply.error_scope, reply.error_class, reply.billed) == ("setup", "TLS", False)
    assert "SSL_CERT_FILE" in (reply.error_message or "") and not server.calls
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    [reply], server = ask(name, [answer(said(name))], monkeypatch, tls=tls)
    assert reply.text == "Black and white." and len(server.calls) == 1

"""Certificates: a good pair serves, a renewed one is taken up, a bad one is told in one sentence."""

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import NotConfigured
from core.tls import LOOK_SECONDS, ServerTls, client_context, server_tls
from tests.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _tls(pair: Pair) -> ServerTls:
    return ServerTls(pair.certificate, pair.key, "api")


async def _serial(port: int, trust: ssl.SSLContext) -> str:
    """Serial number of the certificate that is served there, to a client that trusts it."""
    _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=trust), 15)
    number: str = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return number


async def test_a_renewed_pair_is_served_without_a_restart(authority: Authority) -> None:
    tls = _tls(authority.pair())
    clock = ManualClock()
    trust = client_context(authority.file)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls.context)
    looking = asyncio.get_running_loop().create_task(tls.run(clock))
    async with server:
        port = server.sockets[0].getsockname()[1]
        first = await _serial(port, trust)
        authority.pair()  # overwrites both files
        async with asyncio.timeout(20):
            while await _serial(port, trust) == first:
                await clock.advance(LOOK_SECONDS)
    looking.cancel()


def test_a_renewal_that_cannot_be_used_leaves_the_old_pair_and_is_told_once(authority: Authority) -> None:
    pair = authority.pair()
    tls = _tls(pair)
    other = authority.pair("other")
    shutil.copy(other.key, pair.key)
    with pytest.raises(NotConfigured, match="does not belong"):
        tls.look()
    assert not tls.look()
    shutil.copy(other.certificate, pair.certificate)
    assert tls.look()


def test_a_key_of_another_certificate_is_told(authority: Authority) -> None:
    with pytest.raises(NotConfigured, match=r"server\.key does not belong to the certificate .*other\.pem"):
        ServerTls(authority.pair("other").certificate, authority.pair().key, "api")


def test_an_expired_certificate_is_told_with_its_day(authority: Authority) -> None:
    with pytest.raises(NotConfigured, match=r"expired on \d{4}-\d\d-\d\d"):
        _tls(authority.pair(days=-2))


@pytest.mark.parametrize("part", ["certificate", "key"])
def test_a_file_that_is_missing_or_nonsense_is_told(authority: Authority, part: str) -> None:
    pair = authority.pair()
    file: Path = getattr(pair, part)
    file.write_text("nonsense")
    with pytest.raises(NotConfigured, match="is no PEM"):
        _tls(pair)
    file.unlink()
    with pytest.raises(NotConfigured, match="cannot be read: No such file"):
        _tls(pair)


def test_one_file_without_the_other_is_told(authority: Authority) -> None:
    with pytest.raises(NotConfigured, match="Only one"):
        server_tls(authority.pair().certificate, None, "endpoint")
    assert server_tls(None, None, "endpoint") is None


def test_an_authority_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(NotConfigured, match="is no PEM"):
        client_context(tmp_path / "ca.pem")
    with pytest.raises(NotConfigured, match="cannot be read"):
        client_context(tmp_path / "none.pem")


async def test_a_renewal_by_swapped_links_is_survived_half_way_and_drops_no_connection(authority: Authority, tmp_path: Path) -> None:
    """As certbot does it: new files in an archive, then each link is put in place of the one before, the certificate's first."""
    live = tmp_path / "live"
    live.mkdir()

    def put(pair: Pair, *names: str) -> None:
        for name in names:
            (live / "fresh").symlink_to(pair.certificate if name == "fullchain.pem" else pair.key)
            (live / "fresh").replace(live / name)

    put(authority.pair("first"), "fullchain.pem", "privkey.pem")
    tls = ServerTls(live / "fullchain.pem", live / "privkey.pem", "api")
    trust = client_context(authority.file)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        first = await _serial(port, trust)
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=trust), 20)

        renewed = authority.pair("renewed")
        put(renewed, "fullchain.pem")
        with pytest.raises(NotConfigured, match="does not belong"):
            tls.look()
        assert await _serial(port, trust) == first, "half a renewal was taken up"
        put(renewed, "privkey.pem")
        assert tls.look()
        assert not tls.look()
        assert await _serial(port, trust) != first

        writer.write(b"still there\n")
        assert await asyncio.wait_for(reader.readline(), 20) == b"still there\n"
        writer.close()


def test_a_pair_that_changes_while_it_is_read_is_read_again(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = authority.pair()
    tls = _tls(pair)
    check, other = tls._check, authority.pair("other")

    def swapped() -> None:
        check()
        shutil.copy(other.key, pair.key)

    authority.pair()
    monkeypatch.setattr(tls, "_check", swapped)
    with pytest.raises(NotConfigured, match="changed while it was read"):
        tls.look()
    monkeypatch.setattr(tls, "_check", check)
    shutil.copy(other.certificate, pair.certificate)
    assert tls.look()

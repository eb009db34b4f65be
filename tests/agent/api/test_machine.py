"""Pelican's additions to Wings' API: the machine's addresses and load, an installation's log, diagnostics without secrets."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.api import machine
from agent.server.install_log import InstallLog
from agent.server.install_script import log_file
from core import log
from core.clock import SystemClock
from core.errors import RuntimeFailure
from core.protocol.agent import InstallLogs, SystemIps, Utilization
from tests.agent.api.conftest import Bench, config

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 203.0.113.9
        /32 host LOCAL
     |-- 203.0.113.255
        /32 link BROADCAST
Local:
     |-- 203.0.113.9
        /32 host LOCAL
     |-- 172.18.0.1
        /32 host LOCAL
"""
SIX = """00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000021122fffe334455 02 40 20 80     eth0
20010db8000000000000000000000009 02 40 00 80     eth0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(TRIE)
    (tmp_path / "net/if_inet6").write_text(SIX)
    (tmp_path / "stat").write_text("cpu  100 0 50 800 40 5 5 0 7 0\ncpu0 1 2 3 4\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 250 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\nHugePages_Total: 0\n")
    return tmp_path


def test_addresses_are_the_machines_own_and_no_loopback(proc: Path) -> None:
    assert machine.addresses(proc) == ["203.0.113.9", "172.18.0.1", "2001:db8::9"]
    (proc / "net/if_inet6").unlink()
    assert machine.addresses(proc) == ["203.0.113.9", "172.18.0.1"]


def test_utilization_counts_in_bytes_and_what_ran_between_two_readings(proc: Path, tmp_path: Path) -> None:
    before = machine.cpu_times(proc)
    assert (before.busy, before.total) == (160, 1000)
    shown = machine.utilization({"Root": tmp_path, "Data": tmp_path, "Gone": tmp_path / "gone"}, before, machine.CpuTimes(190, 1100), proc)
    assert (shown.memory_total, shown.memory_used) == (1_024_000, 768_000)
    assert (shown.swap_total, shown.swap_used) == (102_400, 61_440)
    assert shown.cpu_percent == 30.0
    (disk,) = shown.disk_details
    assert disk.tags == ["Root", "Data"]
    assert (shown.disk_total, shown.disk_used) == (disk.total_space, disk.used_space)
    assert disk.total_space >= disk.used_space > 0
    assert machine.utilization({}, before, before, proc).cpu_percent == 0


@pytest.mark.parametrize("name", ["stat", "meminfo", "net/fib_trie"])
def test_a_kernel_that_says_nothing_is_a_failure_in_words(proc: Path, name: str) -> None:
    (proc / name).write_text("nonsense\n" if name != "net/fib_trie" else "|--\n")
    with pytest.raises(RuntimeFailure, match="cannot be read"):
        machine.addresses(proc)
        machine.utilization({}, machine.cpu_times(proc), machine.cpu_times(proc), proc)


async def test_a_pelican_panel_reads_addresses_and_load(bench: Bench) -> None:
    async with bench.http.get("/api/system/ips") as answer:
        assert answer.status == 200
        assert not set(SystemIps.model_validate(await answer.json()).ip_addresses) & {"127.0.0.1", "::1"}
    for _ in range(2):
        async with bench.http.get("/api/system/utilization") as answer:
            shown = Utilization.model_validate(await answer.json())
            assert 0 <= shown.cpu_percent <= 100
            assert shown.memory_total >= shown.memory_used > 0
            assert {tag for disk in shown.disk_details for tag in disk.tags} >= {"Root", "Data"}


async def test_an_installations_log_is_told_without_its_head(bench: Bench, tmp_path: Path) -> None:
    async with bench.http.get(bench.path("/install-logs")) as answer:
        assert answer.status == 404
    written = InstallLog(log_file(config(bench.panel, tmp_path), bench.uuid), 1_000_000)
    written.head(bench.uuid, "debian", "bash", ["RCON_WORD=swordfish"], SystemClock().now())
    written.write(["fetching", "unpacking"])
    written.close("Installed.")
    async with bench.http.get(bench.path("/install-logs")) as answer:
        assert answer.status == 200
        assert InstallLogs.model_validate(await answer.json()).data == "fetching\nunpacking\n\nInstalled.\n"


@pytest.fixture
def logging_set_up() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    log.set_up("INFO")
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.usefixtures("logging_set_up")
async def test_cfg_4_diagnostics_hold_no_secret_and_no_address_unless_asked_for(bench: Bench) -> None:
    secret, jwt = bench.panel.token.secret, bench.jwt("*")
    logging.getLogger("agent.test").warning("asking %s with %s and %s.%s", bench.panel.url, jwt, bench.panel.token.id, secret)
    for query in ("", "?include_endpoints=true&log_lines=9999", "?include_endpoints=TRUE&include_logs=maybe"):
        async with bench.http.get(f"/api/diagnostics{query}") as answer:
            text = await answer.text()
            assert (answer.status, answer.content_type) == (200, "text/plain")
        assert "asking" in text
        assert not [hidden for hidden in (secret, jwt, bench.panel.token.id) if hidden in text]
        assert (bench.panel.url in text) == ("include_endpoints" in query)
        assert f"{bench.uuid}  offline" in text
    async with bench.http.get("/api/diagnostics?include_logs=false") as answer:
        assert "asking" not in await answer.text()
    for count in ("1", "0", "-1", "x", "٣", "9" * 400):
        async with bench.http.get(f"/api/diagnostics?log_lines={count}") as answer:
            assert answer.status == 200


async def test_what_pelican_added_wants_the_nodes_token_too(bench: Bench) -> None:
    for path in ("/api/system/ips", "/api/system/utilization", "/api/diagnostics", bench.path("/install-logs")):
        async with bench.http.get(path, headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 403

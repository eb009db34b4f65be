"""How fast a burst of alerts is answered and whether each becomes a message: 500 requests, 50 different alerts, 20 connections.

The bot runs as in production, in a process of its own, on MariaDB (`--database`, else AERIE_TEST_MARIADB_URL, else SQLite, which is told);
Discord is the sandbox. Every answer comes after the commit. The yardstick of the same run is GET /health over as many connections. Lost
alerts, a message too many or too few and a single 429 of Discord fail the run.
"""

import argparse
import asyncio
import gc
import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pymysql
import uvloop
from aiohttp import ClientSession, TCPConnector

from benchmarks.command_latency import child, percentile
from core.actor import Actor
from core.seal import new_key
from core.services.build import opened
from core.vocabulary import ActorKind
from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person
from setup.sockets import free_port

REQUESTS, DIFFERENT, CONNECTIONS = 500, 50, 20
WARM_UP = 40
SHOWN_WITHIN = 180.0  # s; four new messages per five seconds and channel


@asynccontextmanager
async def database(url: str, folder: str) -> AsyncIterator[str]:
    """An empty database for this run."""
    if not url:
        yield f"sqlite+aiosqlite:///{folder}/aerie.sqlite3"
        return
    name = f"aerie_bench_{secrets.token_hex(4)}"
    await asyncio.to_thread(_run, url, f"CREATE DATABASE {name}")
    parts = urlsplit(url)
    try:
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        await asyncio.to_thread(_run, url, f"DROP DATABASE {name}")


def _run(url: str, statement: str) -> None:
    parts = urlsplit(url)
    connection = pymysql.connect(host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "")
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)


def ada_of(box: Sandbox) -> Actor:
    """The owner of the sandbox's community."""
    guild = next(iter(box.state.guilds.values()))
    return Actor(ActorKind.DISCORD, "Ada", discord_id=int(guild.owner_id), guild_id=int(guild.id), guild_owner=True)


async def furnish(url: str, key: str, box: Sandbox) -> str:
    """A source that reports into #general; answers its path."""
    guild, owner = next(iter(box.state.guilds.values())), ada_of(box)
    channel = next(int(one.id) for one in box.state.channels() if one.name == "general")
    async with opened(url, key=key) as services:
        await services.guilds.bind(int(guild.id), int(guild.owner_id), guild.name)
        made = await services.alert_sources.create(owner, "benchmark", channel)
    return f"/webhooks/{made.token}"


async def burst(session: ClientSession, url: str, bodies: list[bytes] | None, count: int) -> tuple[list[float], list[int]]:
    """Seconds and statuses of `count` requests, as fast as the connections take them."""
    times: list[float] = []
    statuses: list[int] = []
    numbers = iter(range(count))

    async def line() -> None:
        for number in numbers:
            began = time.perf_counter()
            call = (
                session.get(url) if bodies is None else session.post(url, data=bodies[number], headers={"Content-Type": "application/json"})
            )
            async with call as answer:
                await answer.read()
            times.append(time.perf_counter() - began)
            statuses.append(answer.status)

    await asyncio.gather(*(line() for _ in range(CONNECTIONS)))
    return times, statuses


def body(number: int, name: str = "alert") -> bytes:
    which = number % DIFFERENT
    return json.dumps(
        {
            "title": f"{name} {which:02}",
            "status": "firing",
            "severity": "warning",
            "key": f"{name}-{which}",
            "text": "The load of this machine has been over its limit for five minutes.",
            "labels": {"instance": f"host-{which}", "job": "node"},
            "value": number,
        }
    ).encode()


def shown(ada: Person) -> set[str]:
    """Titles of the alerts that have a message."""
    texts = [ada.text_of(message) for message in ada.messages("general")]
    return {line.split(" ", 2)[-1] for text in texts for line in text.splitlines() if line.startswith("###")}


async def main(mariadb: str) -> dict[str, object]:
    port, key = free_port(), new_key()
    with TemporaryDirectory() as folder:
        async with running(SandboxConfig()) as box, database(mariadb, folder) as url:
            path = await furnish(url, key, box)
            settings = Path(folder) / "aerie.toml"
            settings.write_text(
                f'[log]\nlevel = "WARNING"\n[discord]\ntoken = "{box.token}"\nsandbox_url = "{box.url}"\n'
                f'[database]\nurl = "{url}"\n[endpoint]\nport = {port}\n[security]\nkey = "{key}"\n'
            )
            origin = f"http://127.0.0.1:{port}"
            async with (
                child("-m", "bot", "--config", str(settings)) as bot,
                Person.connect(box.url, "Ada") as ada,
                ClientSession(connector=TCPConnector(limit=CONNECTIONS)) as session,
            ):
                await ada.wait_until(lambda: bool(ada.bot["online"] and ada.commands), 60, "the bot")
                warm = [json.dumps({"title": "warm-up", "status": "resolved", "key": "warm"}).encode()] * WARM_UP
                await burst(session, origin + path, warm, WARM_UP)
                gc.freeze()  # the instrument's own pauses are not the bot's
                health, _ = await burst(session, f"{origin}/health", None, REQUESTS)
                began = time.perf_counter()
                times, statuses = await burst(session, origin + path, [body(number) for number in range(REQUESTS)], REQUESTS)
                took = time.perf_counter() - began
                await ada.wait_until(lambda: len(shown(ada)) >= DIFFERENT, SHOWN_WITHIN, "every alert's message")
                messages = sum("alert " in ada.text_of(message) for message in ada.messages("general"))
                assert bot.returncode is None
            counted = await reports(url, key, ada_of(box))
            hits = box.rate_limit_hits
    lost = REQUESTS - counted
    assert set(statuses) == {202}, f"answers: {sorted(set(statuses))}"
    assert (messages, lost, hits) == (DIFFERENT, 0, 0), f"messages {messages}, lost {lost}, 429s of Discord {hits}"
    figures = {
        "p50_ms": percentile(times, 0.5),
        "p99_ms": percentile(times, 0.99),
        "requests_per_second": round(REQUESTS / took),
        "messages": messages,
        "lost": lost,
        "http_429": hits,
        "database": "mariadb" if mariadb else "sqlite",
    }
    yardsticks = {"health_p50_ms": percentile(health, 0.5), "health_p99_ms": percentile(health, 0.99)}
    return {"benchmark": "alerts", "ratios": {}, "figures": figures, "yardsticks": yardsticks}


async def reports(url: str, key: str, owner: Actor) -> int:
    """How many reports the rows count."""
    async with opened(url, key=key) as services:
        return sum(row.count for row in await services.alerts.recent(owner, 10 * DIFFERENT))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default=os.environ.get("AERIE_TEST_MARIADB_URL", ""), help="MariaDB whose user may make databases")
    chosen = parser.parse_args()
    print(json.dumps(uvloop.run(main(chosen.database))))

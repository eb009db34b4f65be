"""Bad days of the bot as a process of its own: MariaDB and Redis, ours alone, are away at its start, killed, and stopped under it."""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.seal import new_key
from sandbox.app import SandboxConfig
from sandbox.app import running as sandbox_running
from sandbox.person import Person
from setup import databases, processes
from setup.databases import Missing, Place
from setup.sockets import free_port
from tests.journeys.stage import SEED
from tests.journeys.test_power import says

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PATIENCE = 45.0  # seconds
CHANNEL = "status"
AWAY = "The database"  # how every sentence about it begins


class Services:
    """A MariaDB and a Redis on ports that stay the same from one start to the next."""

    def __init__(self, folder: Path) -> None:
        self.mariadb, self.redis = (Place(folder / name, folder / f"{name}.log", folder / f"{name}.json") for name in ("mariadb", "redis"))
        self.mariadb_port, self.redis_port = free_port(), free_port()
        self.password = secrets.token_hex(12)

    @property
    def mariadb_url(self) -> str:
        return databases.mariadb_url(self.mariadb_port, self.password, "aerie_bad_days")

    @property
    def redis_url(self) -> str:
        return databases.redis_url(self.redis_port)

    async def start_mariadb(self) -> None:
        await asyncio.to_thread(databases.start_mariadb, self.mariadb, self.mariadb_port, self.password, "aerie_bad_days", keep=True)

    async def start_redis(self) -> None:
        await asyncio.to_thread(databases.start_redis, self.redis, self.redis_port)

    def signal(self, place: Place, number: signal.Signals) -> None:
        pid = processes.remembered(place.record)
        assert pid is not None, f"{place.folder.name} does not run"
        os.kill(pid, number)

    async def kill(self, place: Place) -> None:
        """Without a word, as a machine does that loses its power."""
        self.signal(place, signal.SIGKILL)
        await asyncio.to_thread(place.end)

    def end(self) -> None:
        for place in (self.mariadb, self.redis):
            if processes.remembered(place.record) is not None:
                self.signal(place, signal.SIGCONT)
            place.end()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Nothing runs yet."""
    try:
        databases.program(databases.MARIADB, "MariaDB")
        databases.program(databases.REDIS, "Redis")
    except Missing as error:
        if os.environ.get("AERIE_TEST_REQUIRE") == "1":
            raise
        pytest.skip(str(error))
    made = Services(tmp_path / "services")
    try:
        yield made
    finally:
        made.end()


@dataclass
class Program:
    """`aerie bot`, and what it has said so far."""

    log: Path
    child: asyncio.subprocess.Process

    async def says(self, pattern: str) -> str:
        """Wait until its words hold this; answers the first group."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := re.search(pattern, self.words)) is None:
                    assert self.child.returncode is None, f"it ended with {self.child.returncode}:\n{self.words[-3000:]}"
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"it never said {pattern!r}:\n{self.words[-3000:]}") from None
        return found[found.re.groups]

    @property
    def words(self) -> str:
        return self.log.read_text()


@asynccontextmanager
async def program(folder: Path, settings: dict[str, dict[str, object]]) -> AsyncIterator[Program]:
    """`aerie bot` with these settings, ended politely."""
    folder.mkdir()
    lines = [f"[{section}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()) for section, values in settings.items()]
    (folder / "aerie.toml").write_text("\n".join(lines))
    with (folder / "log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "aerie", "bot", "--config", str(folder / "aerie.toml"), cwd=ROOT, stdout=log, stderr=log
        )
    made = Program(folder / "log", child)
    try:
        yield made
    except BaseException as error:
        error.add_note("the bot said:\n" + made.words[-6000:])
        raise
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), 30)
        except TimeoutError:
            child.kill()
            await child.wait()


@dataclass
class Scene:
    """The sandbox, the bot in it, and the owner of the community."""

    bot: Program
    ada: Person
    session: aiohttp.ClientSession
    url: str = ""

    async def up(self) -> None:
        """Wait until the bot's endpoint listens and the whole bot is ready."""
        port = await self.bot.says(r"endpoint listens on [\d.]+:(\d+)")
        self.url = f"http://127.0.0.1:{port}"
        await self.until("/ready", 200)
        await self.ada.wait_until(lambda: bool(self.ada.commands), PATIENCE, "the commands")

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.json()

    async def until(self, path: str, status: int) -> dict[str, Any]:
        """Ask until it answers so."""
        seen: tuple[int, dict[str, Any]] | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while (seen := await self.get(path))[0] != status:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{path} did not come to {status}; last: {seen}") from None
        assert seen is not None
        return seen[1]

    async def alert(self, address: str, title: str) -> tuple[int, str, dict[str, Any]]:
        async with self.session.post(f"{self.url}{address}", json={"title": title, "status": "firing"}) as answer:
            return answer.status, answer.headers.get("Retry-After", ""), await answer.json()

    async def told(self, *words: str) -> dict[str, Any]:
        """The answer to a command that reads the database, holding these words."""
        answer = await self.ada.answer(await self.ada.run("alert source list", CHANNEL), says(self.ada, *words), PATIENCE)
        assert answer["ephemeral_for"] == self.ada.me["id"]
        return answer


@asynccontextmanager
async def scene(folder: Path, services: Services) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(sandbox_running(SandboxConfig(port=0, seed=SEED)))
        ada = await stack.enter_async_context(Person.connect(box.url, "Ada"))
        settings: dict[str, dict[str, object]] = {
            "discord": {"token": box.token, "sandbox_url": box.url},
            "database": {"url": services.mariadb_url},
            "backplane": {"url": services.redis_url},
            "security": {"key": new_key()},
            "endpoint": {"host": "127.0.0.1", "port": 0},
        }
        bot = await stack.enter_async_context(program(folder / "bot", settings))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)))
        yield Scene(bot, ada, session)


async def a_source(ada: Person) -> str:
    answer = await ada.answer(await ada.run("alert source create", CHANNEL, name="prometheus"), says(ada, "/webhooks/"), PATIENCE)
    found = re.search(r"/webhooks/[\w-]{43}", ada.text_of(answer))
    assert found is not None
    return found[0]


async def test_a_bot_started_first_waits_for_mariadb_and_then_for_redis(tmp_path: Path, services: Services) -> None:
    async with scene(tmp_path, services) as it:
        address = rf"mysql\+aiomysql://aerie:•••@127\.0\.0\.1:{services.mariadb_port}/"
        await it.bot.says(rf"The database {address}\S+ does not answer: .*Trying again")
        await services.start_mariadb()
        await it.bot.says(rf"Redis does not answer: .*{services.redis_port}.*Trying again")
        await services.start_redis()
        await it.up()
        await it.told("")
        assert services.password not in it.bot.words
        assert "Traceback" not in it.bot.words


async def test_a_wrong_password_ends_the_start_at_once(tmp_path: Path, services: Services) -> None:
    await services.start_mariadb()
    services.password = "wrong"
    async with scene(tmp_path, services) as it:
        assert await asyncio.wait_for(it.bot.child.wait(), PATIENCE) == 2
        assert "Access denied" in it.bot.words
        assert "Traceback" not in it.bot.words


async def test_mariadb_killed_is_told_and_comes_back_with_all_that_was_accepted(tmp_path: Path, services: Services) -> None:
    await services.start_mariadb()
    await services.start_redis()
    async with scene(tmp_path, services) as it:
        await it.up()
        address = await a_source(it.ada)
        assert (await it.alert(address, "Before the night"))[0] == 202
        await services.kill(services.mariadb)
        missing = await it.until("/ready", 503)
        assert (missing["database"], missing["backplane"]) == (False, True)
        assert (await it.get("/health"))[0] == 200
        await it.told(AWAY, "try again")
        status, later, body = await it.alert(address, "In the night")
        assert (status, body["errors"][0]["status"]) == (503, "503")
        assert int(later) > 0
        await services.start_mariadb()
        await it.until("/ready", 200)
        await it.told("prometheus")
        assert (await it.alert(address, "After the night"))[0] == 202
        for title in ("Before the night", "After the night"):
            await it.ada.wait_for(says(it.ada, title), PATIENCE, channel=CHANNEL)


async def test_mariadb_that_hangs_is_told_before_discord_gives_up(tmp_path: Path, services: Services) -> None:
    await services.start_mariadb()
    await services.start_redis()
    async with scene(tmp_path, services) as it:
        await it.up()
        address = await a_source(it.ada)
        services.signal(services.mariadb, signal.SIGSTOP)
        await it.told(AWAY, "try again")
        assert (await it.alert(address, "Asleep"))[:2] == (503, "10")
        services.signal(services.mariadb, signal.SIGCONT)
        await it.until("/ready", 200)
        await it.told("prometheus")
        assert (await it.alert(address, "Awake"))[0] == 202
        await it.ada.wait_for(says(it.ada, "Awake"), PATIENCE, channel=CHANNEL)


async def test_redis_killed_loses_no_alert_and_is_found_again(tmp_path: Path, services: Services) -> None:
    await services.start_mariadb()
    await services.start_redis()
    async with scene(tmp_path, services) as it:
        await it.up()
        address = await a_source(it.ada)
        await services.kill(services.redis)
        missing = await it.until("/ready", 503)
        assert (missing["database"], missing["backplane"]) == (True, False)
        assert (await it.get("/health"))[0] == 200
        assert (await it.alert(address, "Without Redis"))[0] == 202
        await it.told("prometheus")
        await services.start_redis()
        await it.until("/ready", 200)
        await it.ada.wait_for(says(it.ada, "Without Redis"), PATIENCE, channel=CHANNEL)
        await it.told("prometheus")

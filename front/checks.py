"""The questions `aerie doctor` asks: can the database, Redis, Docker and Discord be used, as configured?

Each answers with a `Finding` that a person can act on. Must never print a secret: addresses lose their passwords, tokens are not shown.
Nothing is changed by asking.
"""

import asyncio
import os
import ssl
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from agent.filesystem.method import best_method
from core.db.engine import check_url
from core.db.migrate import lag
from core.errors import NotConfigured
from setup.engine_api import EngineApi, EngineError

PATIENCE = 5.0  # seconds for each question
DISCORD_API = "https://discord.com/api/v10"


@dataclass(frozen=True)
class Finding:
    """One line of the report: `fix` says what to do and is empty when all is well."""

    subject: str
    words: str
    fix: str = ""

    @property
    def well(self) -> bool:
        return not self.fix


async def database(url: str) -> Finding:
    """Can we sign in to the database and ask it something?"""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return Finding(
            "database",
            "the address cannot be read",
            "Write it as mysql+aiomysql://user:password@host:3306/name or sqlite+aiosqlite:///path.",
        )
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite" and (trouble := _sqlite_trouble(parsed)) is not None:
        return Finding("database", shown, trouble)
    try:
        engine = create_async_engine(parsed)
    except (NoSuchModuleError, ModuleNotFoundError):
        return Finding(
            "database", shown, "There is no driver of that name: use mysql+aiomysql:// for MariaDB or sqlite+aiosqlite:// for a file."
        )
    try:
        async with asyncio.timeout(PATIENCE), engine.connect() as connection:
            question = "SELECT sqlite_version()" if parsed.get_backend_name() == "sqlite" else "SELECT VERSION()"
            version = (await connection.execute(text(question))).scalar_one()
        return Finding("database", f"{shown} answers, version {version}")
    except TimeoutError:
        return Finding(
            "database", f"{shown} does not answer within {PATIENCE:.0f} s", "Check host and port, and that a firewall lets us through."
        )
    except (SQLAlchemyError, OSError) as error:
        return Finding("database", f"{shown} refuses: {_first_line(error)}", _database_fix(str(error)))
    finally:
        await engine.dispose()


async def tables(url: str) -> Finding:
    """Are the database's tables those of this version? Says nothing new of a database that does not answer."""
    try:
        check_url(url)
        if (path := make_url(url)).get_backend_name() == "sqlite" and _sqlite_trouble(path) is not None:
            return Finding("tables", "not there yet", "Run `aerie migrate`, or start the bot, which does the same.")
        behind = await asyncio.wait_for(lag(url), PATIENCE)
    except (ArgumentError, NotConfigured):
        return Finding("tables", "cannot be asked for", "Correct the database's address.")
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return Finding("tables", f"cannot be asked for: {_first_line(error)}", "See the line about the database.")
    if behind is None:
        return Finding("tables", "of a newer Aerie than this", "Run that version again, or restore the database of before.")
    if behind:
        return Finding("tables", f"{behind} steps behind this version", "Run `aerie migrate`, or start the bot, which does the same.")
    return Finding("tables", "up to date")


def _sqlite_trouble(url: URL) -> str | None:
    if url.database in (None, "", ":memory:"):
        return None
    path = Path(str(url.database))
    if not path.parent.is_dir():
        return f"The folder {path.parent} does not exist: make it, or name another file."
    if not path.exists():
        return "The file does not exist yet: run `aerie migrate`."
    return None


def _database_fix(words: str) -> str:
    if "1045" in words or "Access denied" in words:
        return "Check the user and the password, and that this user may come from this host."
    if "1049" in words:
        return "Create the database: CREATE DATABASE aerie CHARACTER SET utf8mb4."
    return "Check that MariaDB runs at that host and port."


async def redis(url: str) -> Finding:
    """Does Redis answer? An empty address means the backplane in memory, good for one process."""
    if not url:
        return Finding("redis", "not configured: one process, backplane in memory")
    try:
        client = Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    except ValueError:
        return Finding("redis", "the address cannot be read", "Write it as redis://:password@host:6379/0.")
    shown = _without_password(url)
    try:
        async with asyncio.timeout(PATIENCE):
            version = (await client.info("server"))["redis_version"]
        return Finding("redis", f"{shown} answers, version {version}")
    except (AuthenticationError, ResponseError) as error:
        return Finding("redis", f"{shown} refuses: {_first_line(error)}", "Check the password in the address.")
    except (RedisError, OSError, TimeoutError) as error:
        return Finding("redis", f"{shown} cannot be reached: {_first_line(error)}", "Check that Redis runs at that host and port.")
    finally:
        await client.aclose()


async def docker(host: str) -> Finding:
    """Does a Docker Engine answer, and may we use it?"""
    api = EngineApi(host)
    try:
        version = (await asyncio.to_thread(api.json, "GET", "/version", None, PATIENCE))["Version"]
        info = await asyncio.to_thread(api.json, "GET", "/info", None, PATIENCE)
    except EngineError as error:
        if "Permission denied" in str(error):
            return Finding(
                "docker", f"{host} is closed to this user", "Run the agent as root, or join the group of Docker's socket and sign in again."
            )
        return Finding("docker", f"{host}: {_first_line(error)}", "Start Docker, or set the engine's address.")
    lacks = [
        name
        for name, key in (("memory limits", "MemoryLimit"), ("CPU limits", "CpuCfsQuota"), ("process limits", "PidsLimit"))
        if not info.get(key)
    ]
    words = f"{host} answers, version {version}, storage {info.get('Driver')}, cgroup v{info.get('CgroupVersion', '1')}"
    if lacks:
        return Finding(
            "docker",
            words,
            f"This kernel does not enforce {' and '.join(lacks)}: a server may take more than its share; enable these cgroups.",
        )
    return Finding("docker", words)


async def discord(token: str, api: str = DISCORD_API) -> Finding:
    """Is the bot's token good?"""
    if not token:
        return Finding("discord", "no token is configured", "Create a bot at Discord's developer portal and set its token.")
    try:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        headers = {"Authorization": f"Bot {token}"}
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{api}/users/@me", headers=headers) as answer:
            if answer.status == 401:
                return Finding("discord", "the token is refused", "Reset the token at Discord's developer portal and set the new one.")
            if answer.status != 200:
                return Finding("discord", f"answers with status {answer.status}", "Try again in a minute.")
            name = (await answer.json())["username"]
        return Finding("discord", f"the token belongs to {name}")
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError) as error:
        return Finding("discord", f"cannot be reached: {_first_line(error)}", "Check that this machine reaches the internet.")


async def reachable(subject: str, url: str, fix: str) -> Finding:
    """Does anything speak HTTP at this address? Any status will do."""
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session, session.get(url) as answer:
            return Finding(subject, f"{url} answers with status {answer.status}")
    except (aiohttp.ClientError, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
        return Finding(subject, f"{url} cannot be reached: {_first_line(error)}", fix)


def folder(subject: str, path: Path) -> Finding:
    """May we write there, and is there room?"""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        probe = place / f".aerie-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding(subject, f"{path}: {error.strerror}", f"Let this user write to {place}, or set another folder.")
    return Finding(subject, f"{path} can be written")


def disk_limits(data: Path, root_directory: Path, wanted: str) -> Finding:
    """How does the agent hold servers to their disk limits there, and why not better? A softer way than the best is no fault."""
    if not data.is_dir() or not os.access(data, os.W_OK):
        return Finding("disk limits", "cannot be tried before the folder of the servers' files is there")
    return Finding("disk limits", best_method(data, root_directory, wanted, asking=True).words)


async def ask(questions: list[Callable[[], Awaitable[Finding]]]) -> list[Finding]:
    """All answers, asked at once, in the order of the questions."""
    return list(await asyncio.gather(*(question() for question in questions)))


def _without_password(url: str) -> str:
    head, found, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://***@{tail}" if found else url


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

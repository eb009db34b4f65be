"""The deployment files as an owner uses them: `aerie init`, both compose stacks, and a game made from Discord on the node they make."""

import asyncio
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from sandbox.app import SandboxConfig
from sandbox.app import running as sandbox_running
from sandbox.person import Json, Person
from setup.engine_api import EngineApi, EngineError, query
from setup.sockets import free_port
from tests.journeys.test_power import says
from tests.real import official_images
from tests.real.places import opened_up

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SEED = ROOT / "demo" / "seed.json"
EGG = ROOT / "demo" / "eggs" / "luanti.json"
PATIENCE = 120.0  # seconds for one thing to come true on a busy machine
BUILDING = 600.0


@dataclass
class Stack:
    """One compose project in a folder of its own."""

    program: str
    api: EngineApi
    name: str
    folder: Path
    file: str

    async def __call__(self, *words: str, patience: float = BUILDING) -> str:
        """Run compose; what it printed. Its failure is the test's, with its words."""
        environment = {**os.environ, "DOCKER_HOST": self.api.host, "COMPOSE_DOCKER_CLI_BUILD": "0", "DOCKER_BUILDKIT": "0"}
        command = [self.program, "-p", self.name, "-f", self.file, "-f", "test.yml", *words]
        child = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(child.communicate(), patience)
        except BaseException:
            if child.returncode is None:
                child.kill()
                await child.wait()
            raise
        words_said = said.decode(errors="replace")
        assert child.returncode == 0, f"docker-compose {' '.join(words)} failed:\n{words_said[-4000:]}"
        return words_said

    async def containers(self) -> dict[str, Json]:
        """What the engine says of each service."""
        label = f"com.docker.compose.project={self.name}"
        listed = await self.ask("GET", f"/containers/json{query(all=1, filters={'label': [label]})}")
        shown = [await self.ask("GET", f"/containers/{one['Id']}/json") for one in listed]
        return {str(one["Config"]["Labels"]["com.docker.compose.service"]): one for one in shown}

    async def ask(self, method: str, path: str) -> Any:
        return await asyncio.to_thread(self.api.json, method, path)

    async def healthy(self) -> dict[str, Json]:
        """Wait until every service is, and answer them."""
        found: dict[str, Json] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not found or {one["State"]["Health"]["Status"] for one in found.values()} != {"healthy"}:
                    await asyncio.sleep(0.5)
                    found = await self.containers()
        except TimeoutError:
            states = {name: one["State"]["Health"] for name, one in found.items()}
            raise AssertionError(f"not healthy: {json.dumps(states)[-3000:]}\n{(await self('logs', '--tail', '40'))[-4000:]}") from None
        return found


@asynccontextmanager
async def stack(program: str, host: str, folder: Path, file: str, changes: dict[str, Any]) -> AsyncIterator[Stack]:
    """A stack whose containers, networks and volumes are gone afterwards, as is what its root user wrote here."""
    made = Stack(program, EngineApi(host), f"aerietest{secrets.token_hex(4)}", folder, file)
    (folder / "test.yml").write_text(json.dumps({"version": "3.8", **changes}))
    try:
        yield made
    except BaseException as error:
        error.add_note((await made("logs", "--tail", "60"))[-6000:])
        raise
    finally:
        await made("down", "--volumes", "--remove-orphans", "--timeout", "10")


def settle(folder: Path, values: dict[str, str]) -> None:
    """Change lines of .env, as its owner would."""
    file = folder / ".env"
    lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in values]
    file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")


async def init(*words: str) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "aerie", "init", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(child.communicate(), PATIENCE)
    assert child.returncode == 0, said.decode()


async def said(person: Person, command: str, **options: Any) -> Json:
    return await person.answer(await person.run(command, "general", options=options), timeout=PATIENCE)


async def now(ada: Person, message: Json, *words: str) -> Json:
    return await ada.wait_for(lambda found: found["id"] == message["id"] and says(ada, *words)(found), PATIENCE)


def rotates(container: Json) -> bool:
    log = container["HostConfig"]["LogConfig"]
    return bool(log["Type"] == "json-file" and log["Config"] == {"max-size": "10m", "max-file": "5"})


async def user_of(running: Stack, service: str) -> str:
    """The user that a service's first process runs as."""
    status = await running("exec", "-T", service, "cat", "/proc/1/status")
    return str(re.findall(r"^Uid:\s+(\d+)", status, re.MULTILINE)[0])


async def gateway(api: EngineApi) -> str:
    """This machine, as containers reach it; nobody else does."""
    config = (await asyncio.to_thread(api.json, "GET", "/networks/bridge"))["IPAM"]["Config"][0]
    return str(config.get("Gateway") or config["Subnet"].rpartition(".")[0] + ".1")


async def test_both_stacks_come_up_from_init_and_run_a_game(
    tmp_path: Path, docker_host: str, compose_program: str, demo_images: dict[str, str]
) -> None:
    api = EngineApi(docker_host)
    official = await asyncio.to_thread(official_images.ready, api, ROOT / ".aerie" / "test")
    here, port, agent_port, mark = await gateway(api), free_port(), free_port(), secrets.token_hex(4)
    image, bot_folder, node_folder = f"aerie-test/aerie:{mark}", tmp_path / "bot", tmp_path / "node"
    build = {"network": "host", "args": {"PYTHON_IMAGE": official.pop("PYTHON_IMAGE")}, "labels": {official_images.LABEL: "aerie"}}
    async with AsyncExitStack() as exits:
        box = await exits.enter_async_context(sandbox_running(SandboxConfig(host=here, port=0, seed=SEED, allow_remote=True)))
        await init("bot", "--folder", str(bot_folder), "--url", f"http://127.0.0.1:{port}")
        (bot_folder / "secrets/discord_token").write_text(box.token + "\n")
        settle(bot_folder, {"AERIE_PORT": f"127.0.0.1:{port}", "AERIE_SANDBOX_URL": box.url, "AERIE_IMAGE": image, **official})
        bot = await exits.enter_async_context(
            stack(compose_program, docker_host, bot_folder, "docker-compose.yml", {"services": {"bot": {"build": build}}})
        )
        await bot("build")
        exits.callback(forget, api, image)
        await bot("up", "-d")
        await the_bots_stack_is_as_promised(bot)

        ada = await exits.enter_async_context(Person.connect(box.url, "Ada"))
        made = ada.text_of(await said(ada, "node create", name="n1", address=f"http://{here}:{agent_port}", sftp="127.0.0.1:2022"))
        token_id, token = re.findall(r"--token (\w+)\.(\w+)", made)[0]
        network, subnet = await exits.enter_async_context(games_network(api, mark))
        await init("agent", "--folder", str(node_folder), "--url", f"http://127.0.0.1:{port}", "--token-id", token_id)
        (node_folder / "secrets/node_token").write_text(token + "\n")
        with (node_folder / "config/aerie.toml").open("a") as settings:
            settings.write(f'\n[docker]\nnetwork = "{network}"\nnetwork_subnet = "{subnet}0/24"\n\n[sftp]\nport = {free_port()}\n')
        data = opened_up(tmp_path) / "aerie"
        settle(
            node_folder,
            {
                "AERIE_FOLDER": str(data),
                "AERIE_LOG_FOLDER": str(tmp_path / "log"),
                "AERIE_API_PORT": str(agent_port),
                "AERIE_GAMES_GATEWAY": f"{subnet}1",
                "AERIE_DOCKER_SOCKET": docker_host.removeprefix("unix://"),
                "AERIE_IMAGE": image,
                "AERIE_MARIADB_IMAGE": official["AERIE_MARIADB_IMAGE"],
            },
        )
        node = await exits.enter_async_context(stack(compose_program, docker_host, node_folder, "docker-compose.agent.yml", {}))
        await node("up", "-d")
        await the_nodes_stack_is_as_promised(node, f"{subnet}1")
        try:
            await a_game_lives_and_ends(ada, api, data, demo_images["luanti"])
            await bot("down")
            await bot("up", "-d")
            await bot.healthy()
            await ada.answer(await ada.run("node list", "general"), says(ada, "n1", "answers"), timeout=PATIENCE)
            message = await said(ada, "server list")
            assert says(ada, "Isle")(message)
        finally:
            # what the agent wrote as root, a tester who is not root could not remove
            await node("exec", "-T", "agent", "python", "-c", CLEAN, str(data), str(tmp_path / "log"))


CLEAN = "import pathlib, shutil, sys\nfor place in sys.argv[1:]:\n for one in pathlib.Path(place).iterdir():\n  shutil.rmtree(one, True)"


async def the_bots_stack_is_as_promised(bot: Stack) -> None:
    shown = await bot.healthy()
    assert set(shown) == {"bot", "mariadb", "redis"}
    assert all(rotates(container) for container in shown.values())
    published = {name for name, one in shown.items() if any(one["NetworkSettings"]["Ports"].values())}
    assert published == {"bot"}
    host = shown["bot"]["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert await user_of(bot, "bot") == str(os.geteuid() or 989)
    for service in ("mariadb", "redis"):
        assert await user_of(bot, service) != "0"
    attempt = "import pathlib\ntry: pathlib.Path('/opt/aerie/x').touch()\nexcept OSError as error: print(error.errno)"
    assert (await bot("exec", "-T", "bot", "python", "-c", attempt)).strip() == "30"  # EROFS
    for secret in (bot.folder / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    report = await bot("exec", "-T", "bot", "python", "-m", "aerie", "doctor", "bot")
    assert "tables up to date" in report
    assert "✗" not in report


async def the_nodes_stack_is_as_promised(node: Stack, address: str) -> None:
    shown = await node.healthy()
    assert set(shown) == {"agent", "databases"}
    assert all(rotates(container) for container in shown.values())
    own = [mount for mount in shown["agent"]["Mounts"] if mount["Destination"] not in ("/etc/aerie", "/var/run/docker.sock")]
    assert {mount["Destination"] for mount in own if mount["RW"] and mount["Source"] == mount["Destination"]} >= {
        str(node.folder.parent / "aerie"),
        str(node.folder.parent / "log"),
    }
    assert await user_of(node, "agent") == "0"
    assert "are open to them" not in await node("logs", "agent"), "the agent may set the rules that keep servers from this machine"
    password = (node.folder / "secrets/games_root_password").read_text().strip()

    def version() -> str:
        engine = create_engine(URL.create("mysql+pymysql", "root", password, address, 3306))
        try:
            with engine.connect() as connection:
                return str(connection.scalar(text("SELECT VERSION()")))
        finally:
            engine.dispose()

    assert "MariaDB" in await asyncio.to_thread(version)


async def a_game_lives_and_ends(ada: Person, api: EngineApi, data: Path, image: str) -> None:
    """From the egg's file to a stopped game, by commands alone."""
    egg = json.loads(EGG.read_text())
    egg["docker_images"] = {"Luanti": image}
    file = ada.file("luanti.json", json.dumps(egg).encode())
    assert says(ada, "Luanti")(await said(ada, "egg import", file=file))
    port = free_port(udp=True)
    assert says(ada, "1 new port")(await said(ada, "node ports", node="n1", do="add", ports=str(port), ip="127.0.0.1"))
    asked = await ada.run("server create", "general", options={"egg": "Luanti", "name": "Isle", "memory": "512 MiB", "node": "n1"})
    message = await ada.answer(asked, says(ada, "Isle", "when it is right"), timeout=PATIENCE)
    await ada.press(message, "Create")
    message = await now(ada, message, "is ready", f"127.0.0.1:{port}")
    await ada.answer(await ada.press(message, "Start"), says(ada, "is running"), timeout=PATIENCE)
    (folder,) = [place for place in (data / "volumes").iterdir() if re.fullmatch(r"[0-9a-f-]{36}", place.name)]
    container = await asyncio.to_thread(api.json, "GET", f"/containers/{folder.name}/json")
    assert container["State"]["Running"]
    assert str(folder) in {mount["Source"] for mount in container["Mounts"]}
    assert (folder / "world").is_dir()  # the game's own, at the same path outside as the agent has inside
    await ada.answer(await ada.run("server stop", "general", options={"server": "Isle"}), says(ada, "is offline"), timeout=PATIENCE)
    await asyncio.to_thread(_removed, api, folder.name)


def _removed(api: EngineApi, container: str) -> None:
    try:
        api.json("DELETE", f"/containers/{container}?force=1&v=1")
    except EngineError as error:
        if error.status != 404:
            raise


@asynccontextmanager
async def games_network(api: EngineApi, mark: str) -> AsyncIterator[tuple[str, str]]:
    """Name and first three numbers of a network that the agent will make; removed afterwards with what is still in it."""
    name, taken = f"aerietest-{mark}", json.dumps(await asyncio.to_thread(api.json, "GET", "/networks"))
    free = [f"10.214.{number}." for number in range(1, 255) if f"10.214.{number}." not in taken]
    try:
        yield name, free[int(mark, 16) % len(free)]
    finally:
        await asyncio.to_thread(_forget_network, api, name)


def _forget_network(api: EngineApi, name: str) -> None:
    try:
        for container in api.json("GET", f"/networks/{name}").get("Containers") or {}:
            _removed(api, container)
        for own in api.json("GET", f"/networks{query(filters={'label': [f'dev.aerie.beside={name}']})}"):
            api.json("DELETE", f"/networks/{own['Id']}")
        api.json("DELETE", f"/networks/{name}")
    except EngineError as error:
        if error.status != 404:
            raise


def forget(api: EngineApi, image: str) -> None:
    """Give the image up, but keep its layers for the next run, under a name of their own; those of before go."""
    api.json("POST", f"/images/{image}/tag{query(repo='aerie-test/aerie', tag='latest')}")
    api.json("DELETE", f"/images/{image}")
    api.json("POST", f"/images/prune{query(filters={'dangling': ['true'], 'label': [f'{official_images.LABEL}=aerie']})}", timeout=120.0)

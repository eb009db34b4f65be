"""The front door: `aerie demo | tour | up | bot | agent | init | sandbox | migrate | doctor | egg`.

Knows the command line alone and starts what front/ and demo/ wire; each command imports its own room, so that an agent's machine never
loads discord.py. Nothing may import this module.
"""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Game servers, run from Discord.")
output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Settings = Annotated[Path | None, typer.Option("--config", help="Settings file; aerie.example.toml shows every setting.")]
State = Annotated[Path, typer.Option("--state", help="Folder for what the demo keeps.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what earlier demos made.")]
NoDocker = Annotated[bool, typer.Option("--no-docker", help="Run the games as plain processes, without isolation.")]

STATE = Path(__file__).resolve().parent / ".aerie"


def _say(text: str) -> None:
    output.print(text, markup=False, soft_wrap=True)


def _fail(text: str) -> None:
    errors.print(text, style="red", markup=False, soft_wrap=True)


@app.callback()
def main_help() -> None:
    """Game servers, run from Discord."""


@app.command()
def demo(state: State = STATE, fresh: Fresh = False, no_docker: NoDocker = False) -> None:
    """A local Discord, the bot, an agent and two real game servers; prints one address to open."""
    from demo.run import demo as program

    raise typer.Exit(asyncio.run(program(state, fresh=fresh, docker=not no_docker, console=output)))


@app.command()
def tour(state: State = STATE, no_docker: NoDocker = False) -> None:
    """The demo on fresh data, driven by scripted people; exits 0 only if every step was seen to happen."""
    from demo.run import tour as program

    raise typer.Exit(asyncio.run(program(state, docker=not no_docker, console=output)))


@app.command()
def up(config: Settings = None, sandbox: Annotated[bool, typer.Option(help="Add the local Discord.")] = False) -> None:
    """Everything in one process: bot and agent, SQLite, no Redis."""
    from front import programs

    _run(programs.everything(config, sandbox, _say))


@app.command()
def bot(config: Settings = None) -> None:
    """The control plane: Discord to people, REST to nodes and tools."""
    from front import programs

    _run(programs.bot(config, _say))


agents = typer.Typer(invoke_without_command=True, help="A node's daemon: containers, consoles and files of the servers on this machine.")
app.add_typer(agents, name="agent")


@agents.callback()
def agent(context: typer.Context, config: Settings = None) -> None:
    """A node's daemon: containers, consoles and files of the servers on this machine."""
    from front import programs

    if context.invoked_subcommand is None:
        _run(programs.agent(config, _say))


@agents.command("configure")
def configure(
    panel_url: Annotated[str, typer.Option("--panel-url", "-p", prompt="Panel's address", help="The panel's or the bot's public address.")],
    token: Annotated[
        str,
        typer.Option("--token", "-t", prompt="Key", hide_input=True, envvar="AERIE_PANEL_TOKEN", help="An application key, or ID.SECRET."),
    ],
    node: Annotated[str, typer.Option("--node", "-n", help="The node's number in the panel; not needed with ID.SECRET.")] = "",
    config: Annotated[
        Path | None, typer.Option("--config", "--config-path", "-c", help="File to write.", show_default="aerie.toml")
    ] = None,
    format: Annotated[str, typer.Option(help="`aerie`, or `wings` for a config.yml.")] = "aerie",
    override: Annotated[bool, typer.Option("--override", help="Replace a file that is there.")] = False,
    allow_insecure: Annotated[bool, typer.Option("--allow-insecure", help="Ask a panel whose certificate cannot be trusted.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The agent's port; with ID.SECRET only.")] = 8080,
) -> None:
    """Make this machine a node of a panel or of the bot: fetches and writes its settings file."""
    from core.errors import AerieError
    from front.configure import Wanted
    from front.configure import configure as program

    if format not in ("aerie", "wings"):
        raise typer.BadParameter("say `--format aerie` or `--format wings`")
    try:
        steps = asyncio.run(program(Wanted(panel_url, token, node, config, format == "wings", override, allow_insecure, port)))
    except AerieError as error:
        _fail(str(error))
        raise typer.Exit(2) from error
    for step in steps:
        _say(step)


@agents.command("diagnostics")
def diagnostics(config: Settings = None) -> None:
    """The report of `aerie doctor agent`, with the machine and the versions: to paste to somebody who helps; holds no secrets."""
    from front.report import diagnostics as report

    raise typer.Exit(asyncio.run(report(config, output)))


@app.command()
def migrate(config: Settings = None) -> None:
    """Bring the database's tables up to date."""
    from front import programs

    _run(programs.migrate(config, _say))


@app.command()
def doctor(
    program: Annotated[str, typer.Argument(help="`bot` or `agent`; both without it.")] = "",
    config: Settings = None,
) -> None:
    """Check settings, certificates, ports, Docker, database, Redis and Discord's token; prints a report without secrets."""
    from front.report import doctor as report

    if program not in ("", "bot", "agent"):
        raise typer.BadParameter("say `aerie doctor`, `aerie doctor bot` or `aerie doctor agent`")
    raise typer.Exit(asyncio.run(report(config, output, program)))


@app.command("init")
def init(
    program: Annotated[str, typer.Argument(help="`bot` or `agent`.")] = "bot",
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
    url: Annotated[str, typer.Option(help="The bot's public address, as nodes reach it.")] = "http://127.0.0.1:8400",
    token_id: Annotated[str, typer.Option(help="agent: the node's token id.")] = "",
    token: Annotated[str, typer.Option(envvar="AERIE_NODE_TOKEN", help="agent: the node's whole token, ID.SECRET.")] = "",
    systemd: Annotated[bool, typer.Option("--systemd", help="agent: write systemd's unit instead, for a machine without compose.")] = False,
    config: Annotated[Path, typer.Option("--config", help="agent --systemd: the settings file it starts with.")] = Path("aerie.toml"),
) -> None:
    """A folder to run from with compose: settings, secrets, and what to do next. Overwrites nothing."""
    from core.errors import AerieError
    from front.deployment import agent_folder, agent_unit, bot_folder

    try:
        if program not in ("bot", "agent"):
            raise typer.BadParameter("say `aerie init bot` or `aerie init agent`")
        if program == "agent" and systemd:
            written = agent_unit(folder, config)
        else:
            written = bot_folder(folder, url) if program == "bot" else agent_folder(folder, url, token_id, token)
    except AerieError as error:
        _fail(str(error))
        raise typer.Exit(2) from error
    for name in written.made:
        _say(f"made  {name}")
    for name in written.kept:
        _say(f"kept  {name}: it was there")
    for number, step in enumerate(written.then, 1):
        _say(f"{number}. {step}")


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on; loopback only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8580,
    seed: Annotated[Path | None, typer.Option(help="JSON or TOML file with the community; a small one is made up without it.")] = None,
    latency: Annotated[float, typer.Option(help="Seconds added to every answer.")] = 0.0,
) -> None:
    """A Discord on your desk: a chat page, and the API a bot needs."""
    from core.supervise import stop_asked
    from sandbox.app import SandboxConfig, running
    from sandbox.door import NotLoopback
    from sandbox.seed import SeedError

    async def serve() -> None:
        async with running(SandboxConfig(host=host, port=port, seed=seed, latency=latency)) as box:
            _say(f"Open {box.url}  (API {box.api_url}, gateway {box.gateway_url})")
            await stop_asked().wait()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve())
    except (NotLoopback, SeedError, OSError) as error:
        _fail(f"The sandbox cannot start: {error}")
        raise typer.Exit(2) from error


eggs = typer.Typer(no_args_is_help=True, help="Egg files, the recipes of games.")
app.add_typer(eggs, name="egg")


@eggs.callback()
def eggs_help() -> None:
    """Egg files, the recipes of games."""


@eggs.command()
def check(files: Annotated[list[Path], typer.Argument(help="Egg files, JSON or YAML.", show_default=False)]) -> None:
    """Read egg files as `/egg import` would: one line for each that fails and why; exits 1 if any does."""
    from front.eggs import check as program

    raise typer.Exit(program(files, _say, _fail))


def _run(program: Coroutine[Any, Any, None]) -> None:
    from front import programs

    if code := programs.start(program, _fail):
        raise typer.Exit(code)


def main() -> None:
    """Entry of the `aerie` command and of `python -m aerie`."""
    app()


if __name__ == "__main__":
    main()

"""`aerie init`: the folder from which compose runs Aerie: settings, secrets, compose files, and the words what to do next.

Never overwrites: what is there stays, and is named. Secrets are readable by their program alone, and are never printed.
"""

import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from core.config import AgentConfig, load
from core.errors import AerieError, Invalid
from core.seal import new_key

SOURCE = Path(__file__).resolve().parent.parent
BOT_USER = 989
"""The image's user for the bot (Dockerfile)."""


class Unwritable(AerieError):
    """The folder cannot be written."""

    code = "unwritable"


@dataclass
class Written:
    """What was done, by path in the folder; `then` are the next steps, one sentence each."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    then: list[str] = field(default_factory=list)


def bot_folder(folder: Path, public_url: str) -> Written:
    """The control plane's. `public_url` is how nodes and tools reach it. Raises Invalid and Unwritable."""
    check_address(public_url)
    written = Written()
    put = _putter(folder, written)
    password = secrets.token_urlsafe(24)
    # both or neither: a password beside the address of another one would lock the bot out
    if (folder / "secrets/database_password").exists() != (folder / "secrets/database_url").exists():
        raise Invalid(
            f"Of {folder}/secrets/database_password and database_url only one is there.",
            hint="Put the other back; or, if there is no data yet, remove both.",
        )
    put("secrets/database_password", password, secret=True)
    put("secrets/database_root_password", secrets.token_urlsafe(24), secret=True)
    put("secrets/database_url", f"mysql+aiomysql://aerie:{password}@mariadb/aerie", secret=True)
    put("secrets/security_key", new_key(), secret=True)
    put("secrets/discord_token", "", secret=True)
    put(".env", f"AERIE_PUBLIC_URL={public_url.rstrip('/')}\nAERIE_PORT=8400\nAERIE_USER={_user()}\n")
    _compose(folder, "docker-compose.yml", put)
    written.then += [
        f"Put the bot's token from Discord's developer portal into {folder}/secrets/discord_token.",
        f"Keep a copy of {folder}/secrets/security_key elsewhere: without it the secrets in the database cannot be read again.",
        f"Start it: cd {folder} && docker compose up -d --build",
        f"Look at it: cd {folder} && docker compose exec bot python -m aerie doctor bot",
    ]
    return written


def agent_folder(folder: Path, control_plane: str, token_id: str, token: str = "") -> Written:
    """A node's. `control_plane` is the bot's public address, `token_id` the node's public id, `token` its whole token.

    Raises Invalid and Unwritable.
    """
    check_address(control_plane)
    secret = ""
    if token:
        token_id, dot, secret = token.strip().partition(".")
        if not dot or not secret.isalnum() or len(secret) < 32:
            raise Invalid("A node's whole token is ID.SECRET.", hint="Copy it from what the bot showed when the node was made.")
    if token_id and not (len(token_id) == 16 and token_id.isalnum()):
        raise Invalid("A node's token id has 16 letters and digits.", hint="Copy it from what the bot showed when the node was made.")
    written = Written()
    put = _putter(folder, written)
    put("secrets/node_token", secret, secret=True)
    put("secrets/games_root_password", secrets.token_urlsafe(24), secret=True)
    put("config/aerie.toml", f'[remote]\nurl = "{control_plane.rstrip("/")}"\ntoken_id = "{token_id}"\n')
    put(".env", f"AERIE_FOLDER=/var/lib/aerie\nAERIE_CONFIG_FOLDER={folder.resolve()}/config\nAERIE_API_PORT=8080\n")
    _compose(folder, "docker-compose.agent.yml", put)
    if not token_id:
        written.then.append(f"Write the node's token id into {folder}/config/aerie.toml.")
    if not secret:
        written.then.append(f"Put the node's token into {folder}/secrets/node_token; the bot showed it once, when the node was made.")
    written.then += [
        f"Start it: cd {folder} && docker compose -f docker-compose.agent.yml up -d --build",
        f"Look at it: cd {folder} && docker compose -f docker-compose.agent.yml exec agent python -m aerie doctor agent",
    ]
    return written


def agent_unit(folder: Path, settings: Path) -> Written:
    """systemd's unit for the agent of this machine, with its paths. Raises Invalid for settings that cannot be used, and Unwritable."""
    config = load(AgentConfig, settings)
    text = (SOURCE / "packaging/systemd/aerie-agent.service").read_text(encoding="utf-8")
    own = [config.system.root_directory, config.system.data, config.system.log_directory, config.backups.directory]
    paths = " ".join(dict.fromkeys(f"-{path}" for path in own if path))
    text = text.replace("/opt/aerie/.venv/bin/python", sys.executable).replace("/opt/aerie", str(SOURCE))
    text = text.replace("/etc/aerie/aerie.toml", str(settings.resolve())).replace("-/var/lib/aerie -/var/log/aerie", paths)
    if any(path.is_relative_to("/home") or path.is_relative_to("/root") for path in (SOURCE, Path(sys.executable).resolve(), *own) if path):
        text = text.replace("ProtectHome=yes", "ProtectHome=no")
    written = Written()
    _putter(folder, written)("aerie-agent.service", text)
    unit = folder.resolve() / "aerie-agent.service"
    written.then += [
        f"Look at it: systemd-analyze verify {unit}",
        f"Put it in place: cp {unit} /etc/systemd/system/ && systemctl daemon-reload",
        "Start it, now and at each boot: systemctl enable --now aerie-agent",
        "Its log: journalctl -u aerie-agent",
    ]
    return written


def _putter(folder: Path, written: Written) -> Callable[..., None]:
    def put(name: str, text: str, *, secret: bool = False) -> None:
        file = folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600 if secret else 0o644)
        except FileExistsError:
            written.kept.append(name)
            return
        except OSError as error:
            raise Unwritable(f"{file} cannot be written: {error.strerror}.", hint="Choose a folder that you may write.") from error
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text + ("\n" if secret and text else ""))
            if secret and os.geteuid() == 0:
                os.fchown(handle.fileno(), BOT_USER, BOT_USER)
        written.made.append(name)

    return put


def _user() -> str:
    """Whom the bot runs as: who made the secrets, but never root."""
    return f"{BOT_USER}:{BOT_USER}" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"


def _compose(folder: Path, name: str, put: Callable[..., None]) -> None:
    """Beside the source the file is there already; elsewhere a copy builds from the source."""
    if folder.resolve() != SOURCE:
        text = (SOURCE / name).read_text(encoding="utf-8")
        put(name, text.replace("build: .\n", f"build: {SOURCE}\n"))


def check_address(url: str) -> None:
    """Raises Invalid for what is no address of a program."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and '"' not in url and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise Invalid(
            f"{url or 'An empty text'} is no address.", hint="Write it like https://aerie.example.net or http://203.0.113.7:8400."
        )

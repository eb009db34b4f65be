"""`aerie agent configure`: makes this machine a node of a panel or of Aerie's bot, as `wings configure` does.

With an application key the panel is asked for the node's configuration; with the node's own token, `ID.SECRET` as the bot shows it,
nothing is asked but whether it is right. The file is written whole or not at all, for its owner alone; no secret is printed.
"""

import asyncio
import io
import json
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from ruamel.yaml import YAML

from core.errors import AerieError, Invalid
from core.protocol.remote import ACCEPT
from core.wings_config import translate
from front.deployment import Unwritable, check_address

SECONDS = 30.0
"""Wings' patience with the panel."""
MOST_BYTES = 1024 * 1024
OWN_FILE, WINGS_FILE = Path("aerie.toml"), Path("/etc/pterodactyl/config.yml")
_OWN_TOKEN = re.compile(r"([A-Za-z0-9]{16})\.([A-Za-z0-9]{32,256})")
_KEPT = ("api.host", "api.port", "api.certificate", "api.key", "remote.url", "remote.token_id", "remote.token", "system.data", "sftp.port")
"""What of a panel's answer is written down; for the rest, Aerie's defaults hold."""


class Unconfigured(AerieError):
    """The panel did not give what it takes."""

    code = "unconfigured"


@dataclass(frozen=True)
class Wanted:
    """What was said at the command line. `port` counts with a node's own token, of which no panel tells the rest."""

    panel_url: str
    token: str
    node: str = ""
    file: Path | None = None
    wings: bool = False
    override: bool = False
    allow_insecure: bool = False
    port: int = 8080


async def configure(wanted: Wanted) -> list[str]:
    """Write the settings file; answers what was done and what comes next. Raises AerieError."""
    file = wanted.file or (WINGS_FILE if wanted.wings else OWN_FILE)
    check_address(wanted.panel_url)
    if file.exists() and not wanted.override:
        raise Invalid(f"{file} is there already, and is left as it is.", hint="Say --override to replace it, or --config for another file.")
    tree = await _given(wanted)
    text = _yaml(tree) if wanted.wings else _toml(tree)
    await asyncio.to_thread(_write, file, text)
    said = [f"{file} is written: this machine is a node of {tree['remote']}."]
    said += await asyncio.to_thread(_missing, tree.get("api", {}).get("ssl") or {})
    if wanted.allow_insecure:
        said.append("The agent itself will not trust that certificate: name its authority in [tls] ca.")
    named = "" if file == OWN_FILE else f" --config {file}"
    return [*said, f"Look at it: aerie doctor agent{named}", f"Start it: aerie agent{named}"]


def _missing(pair: dict[str, Any]) -> list[str]:
    named = [Path(str(pair.get(name))) for name in ("cert", "key")] if pair.get("enabled") else []
    return [f"The certificate's file {file} is not there yet." for file in named if not file.exists()]


async def _given(wanted: Wanted) -> dict[str, Any]:
    """The node's configuration in Wings' form."""
    url, headers = wanted.panel_url.rstrip("/"), {"Authorization": f"Bearer {wanted.token.strip()}", "Accept": ACCEPT}
    if own := _OWN_TOKEN.fullmatch(wanted.token.strip()):
        await _ask(f"{url}/api/remote/servers?page=1&per_page=1", headers, wanted, "The token is not this node's.")
        return {"token_id": own[1], "token": own[2], "api": {"port": wanted.port}, "remote": url}
    if not (wanted.node.isascii() and wanted.node.isdigit()):
        raise Invalid("A node is named by its number.", hint="It stands in the panel's address of the node: /admin/nodes/view/NUMBER.")
    where = f"{url}/api/application/nodes/{wanted.node}/configuration"
    body = await _ask(where, headers, wanted, "The panel refuses the key: it must be an application key that may read nodes.")
    try:
        tree: Any = json.loads(body)
    except ValueError:
        tree = None
    if not isinstance(tree, dict) or not all(isinstance(tree.get(name), str) and tree[name] for name in ("token_id", "token", "remote")):
        raise Unconfigured(f"{url} does not answer as a panel does.", hint="Write the panel's own address, without a path.")
    return tree


async def _ask(where: str, headers: dict[str, str], wanted: Wanted, refused: str) -> bytes:
    trust: ssl.SSLContext | bool = not wanted.allow_insecure
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout, headers=headers) as http,
            http.get(where, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(MOST_BYTES)
            status, target = answer.status, answer.headers.get("Location", "")
    except aiohttp.ClientConnectorCertificateError as error:
        raise Unconfigured(
            f"The certificate of {wanted.panel_url} cannot be trusted.",
            hint="Correct the address or the certificate; --allow-insecure asks all the same, once.",
        ) from error
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = "no answer within 30 s" if isinstance(error, TimeoutError) else str(error)[:200]
        raise Unconfigured(
            f"{wanted.panel_url} cannot be reached: {why}.", hint="Check the address, and that this machine gets there."
        ) from error
    if status in (401, 403):
        raise Unconfigured(refused, hint="Copy it again, whole.")
    if 300 <= status < 400:
        raise Unconfigured(f"{wanted.panel_url} sends us on to {_origin(target)}.", hint="Use that address.")
    if status == 404:
        raise Unconfigured("The panel knows no such node.", hint="Check the node's number, and that the address is the panel's.")
    if status != 200:
        raise Unconfigured(f"The panel failed ({status}).", hint="Look at the panel's log, then try again.")
    return body


def _origin(target: str) -> str:
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "another path"


def _yaml(tree: dict[str, Any]) -> str:
    """Wings' own file, for Wings or for `aerie agent --config config.yml`."""
    out, yaml = io.StringIO(), YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(tree, out)
    return out.getvalue()


def _toml(tree: dict[str, Any]) -> str:
    given = translate(json.dumps(tree)).values
    data = tree.get("system", {}).get("data")
    tables: dict[str, list[str]] = {}
    for setting in _KEPT:
        section, key = setting.split(".")
        value = given.get(section, {}).get(key)
        if value in (None, "") or (setting == "system.data" and not data):
            continue
        number = key == "port"
        tables.setdefault(section, []).append(f"{key} = {int(value) if number else json.dumps(str(value), ensure_ascii=False)}")
    return "\n\n".join("\n".join([f"[{section}]", *lines]) for section, lines in tables.items()) + "\n"


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(file)
    except OSError as error:
        raise Unwritable(f"{file} cannot be written: {error.strerror}.", hint="Be root, or name another file with --config.") from error

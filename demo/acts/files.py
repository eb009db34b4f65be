"""A server's files by SFTP, with OpenSSH's own client and the password that Aerie showed."""

import asyncio
import os
import re
import secrets
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demo.acts.scene import SEEN_SECONDS, Scene, Step, shown
from sandbox.person import NotSeen
from setup.debian import which

SIZE = 3 * 1024 * 1024 + 11


@dataclass(frozen=True)
class Door:
    """Where and as whom to sign in."""

    host: str
    port: str
    name: str
    password: str


async def _account(scene: Scene) -> str:
    answer = await scene.ask("account sftp", "luanti", "Password")
    text = scene.ada.text_of(answer)
    place = re.search(r"luanti\*\*: host `(\S+)`, port `(\d+)`, user name `(\S+)`", text)
    password = re.search(r"\|\|`(\S+)`\|\|", text)
    if place is None or password is None:
        raise NotSeen(f"the answer names no way to sign in:\n{text}")
    scene.kept["door"] = Door(place[1], place[2], place[3], password[1])
    return shown(answer).replace(password[1], "•" * 8)


async def _transfer(scene: Scene) -> str:
    door, data = scene.kept["door"], secrets.token_bytes(SIZE)
    with tempfile.TemporaryDirectory(prefix="aerie-tour-") as name:
        home = Path(name)
        await asyncio.to_thread((home / "map.bin").write_bytes, data)
        code, words = await _sftp(
            home, door, door.password, "mkdir tour", "put map.bin tour/map.bin", "ls -l tour", "get tour/map.bin back.bin"
        )
        if code != 0:
            raise NotSeen(f"sftp ended with {code}: {words}")
        if await asyncio.to_thread((home / "back.bin").read_bytes) != data:
            raise NotSeen("what came back is not what was sent")
    listed = next(line for line in words.splitlines() if line.startswith("-") and "map.bin" in line)
    return f"{listed}\n{SIZE} bytes went up and came back the same"


async def _wrong(scene: Scene) -> str:
    with tempfile.TemporaryDirectory(prefix="aerie-tour-") as name:
        code, words = await _sftp(Path(name), scene.kept["door"], "guessed", "ls")
    if code == 0 or "Permission denied" not in words:
        raise NotSeen(f"sftp ended with {code}: {words}")
    return next(line for line in words.splitlines() if "Permission denied" in line)


async def _sftp(home: Path, door: Door, password: str, *lines: str) -> tuple[int, str]:
    """One session of OpenSSH's sftp; its exit code and what it said. It ends at the first line that fails."""
    program = which("sftp")
    if program is None:
        raise NotSeen("OpenSSH's sftp is not here; install it (Debian: openssh-client)")
    ask, batch = home / "ask", home / "batch"
    ask.write_text(f"#!/bin/sh\necho {shlex.quote(password)}\n")
    ask.chmod(0o700)
    batch.write_text("\n".join(lines) + "\n")
    options = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": str(home / "known"), "PubkeyAuthentication": "no",
               "NumberOfPasswordPrompts": "1", "BatchMode": "no", "LogLevel": "ERROR"}  # fmt: skip
    chosen = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    asking = {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    process = await asyncio.create_subprocess_exec(
        program, "-F", "none", *chosen, "-b", str(batch), "-P", door.port, f"{door.name}@{door.host}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=home,
        env={"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C.UTF-8", **asking},
    )  # fmt: skip
    try:
        async with asyncio.timeout(SEEN_SECONDS):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(errors="replace")


STEPS = (
    Step("Ada", "asks how to reach her servers' files", _account),
    Step("Ada", "sends a file by OpenSSH's sftp, lists it and takes it back", _transfer),
    Step("Somebody", "tries another password", _wrong),
)

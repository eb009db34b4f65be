"""Prepares the container image of the demo's games: built from the Dockerfile when a registry answers, else made with mmdebstrap.

Knows the recipe in demo/images and the Engine API's build and import calls. The image is cached in the engine under a tag made from
the recipe's hash; nothing is pulled or pushed under that name. Must never remove an image that is not the demo's.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

from setup import debian
from setup.engine_api import EngineApi, EngineError, query
from setup.progress import Step

RECIPE = Path(__file__).resolve().parent / "images"
NAMES = ("aerie-demo/luanti", "aerie-demo/freeciv")  # one image under both names: the games share nearly all of their libraries
BASE, SUITE = "debian:bookworm-slim", "bookworm"
LABEL = "dev.aerie.demo.recipe"
REGISTRY_SECONDS = 8.0  # a registry that says nothing for so long is taken for absent
BUILD_SECONDS = 300.0  # the longest silence of a build or an import


class ImageFailed(Exception):
    """The image could not be made; the message says what was tried and what to do."""


def recipe_hash() -> str:
    """Twelve hex digits that change when anything in demo/images does."""
    digest = hashlib.sha256()
    for path in sorted(RECIPE.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def tags() -> dict[str, str]:
    """Short name of each game (`luanti`, `freeciv`) to its image, as an egg names it: `~` means local, never pulled."""
    return {name.rpartition("/")[2]: f"~{name}:{recipe_hash()}" for name in NAMES}


def prepare(api: EngineApi, log: Path) -> None:
    """Make sure that the engine holds the images. Raises ImageFailed."""
    mark = recipe_hash()
    if all(_exists(api, f"{name}:{mark}") for name in NAMES):
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    first = f"{NAMES[0]}:{mark}"
    tried: list[str] = []
    for way in (_build, _bootstrap):
        try:
            way(api, first, mark, log)
            break
        except (EngineError, ImageFailed, debian.InstallFailed) as error:
            tried.append(str(error))
    else:
        raise ImageFailed("The demo's game image could not be made. " + " ".join(tried) + f" (log: {log})")
    for name in NAMES[1:]:
        api.json("POST", f"/images/{first}/tag{query(repo=name, tag=mark)}")
    _forget_old(api, mark)


def _exists(api: EngineApi, image: str) -> bool:
    try:
        api.json("GET", f"/images/{image}/json")
    except EngineError as error:
        if error.status == 404:
            return False
        raise
    return True


def _build(api: EngineApi, image: str, mark: str, log: Path) -> None:
    if not _exists(api, BASE):
        _pull_base(api)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(RECIPE.iterdir()):
            archive.add(path, path.name)
    parameters = query(t=image, labels={LABEL: mark}, networkmode="host", rm="true", forcerm="true")
    with Step("Building the demo's games from the Dockerfile") as step, log.open("a") as words:
        done = 0
        for record in api.events("POST", f"/build{parameters}", packed.getvalue(), {"Content-Type": "application/x-tar"}, BUILD_SECONDS):
            text = str(record.get("stream", ""))
            words.write(text)
            done += text.startswith(("Get:", "Unpacking ", "Setting up "))
            step.at(min(0.99, done / 330), text.strip()[:50])


def _pull_base(api: EngineApi) -> None:
    name, _, tag = BASE.partition(":")
    try:
        records = api.events("POST", f"/images/create{query(fromImage=name, tag=tag)}", timeout=REGISTRY_SECONDS)
        with Step(f"Fetching {BASE}") as step:
            for record in records:
                detail = record.get("progressDetail") or {}
                total = detail.get("total") or 0
                step.at(detail.get("current", 0) / total if total else None, str(record.get("status", "")))
    except EngineError as error:
        raise ImageFailed("No container registry answered.") from error


def _bootstrap(api: EngineApi, image: str, mark: str, log: Path) -> None:
    """A Debian tree made on this machine, imported as an image."""
    program = debian.which("mmdebstrap")
    if program is None:
        if not debian.can_install():
            raise ImageFailed(
                "mmdebstrap, the other way, needs root on a Debian family system: let Docker reach a registry, or run this there."
            )
        debian.install(["mmdebstrap", "debian-archive-keyring", "tar"], "Installing mmdebstrap", log)
        program = debian.which("mmdebstrap")
        if program is None:
            raise ImageFailed("mmdebstrap was installed but is not there.")
    packages = ",".join((RECIPE / "packages").read_text().split())
    with tempfile.TemporaryDirectory(prefix="aerie-image-") as folder:
        tree = Path(folder) / "tree.tar"
        options = [
            "--variant=minbase", f"--include={packages}", "--aptopt=APT::Install-Recommends false",
            *(f"--dpkgopt=path-exclude={path}/*" for path in ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/fonts")),
            *_proxy_options(), f"--customize-hook=sh '{RECIPE / 'finish.sh'}' \"$1\"",
        ]  # fmt: skip
        mirror = _mirror()
        with Step("Making the demo's games with mmdebstrap") as step:
            try:
                _run_mmdebstrap([program, *options, SUITE, str(tree), *mirror], step, log)
            except ImageFailed:
                if not mirror:
                    raise
                _run_mmdebstrap([program, *options, SUITE, str(tree)], step, log)  # the host's mirror may hold another release only
        with Step("Importing the demo's games into Docker") as step, tree.open("rb") as archive:
            parameters = _import_parameters(image, mark)
            size = tree.stat().st_size
            reader = cast("BinaryIO", _Measured(archive, size, step))
            for _ in api.events("POST", f"/images/create{parameters}", reader, {"Content-Type": "application/x-tar"}, BUILD_SECONDS):
                pass


def _import_parameters(image: str, mark: str) -> str:
    """The Dockerfile's USER, ENV, WORKDIR and CMD lines, given to an import as its changes."""
    kept = ("USER ", "ENV ", "WORKDIR ", "CMD ")
    changes = [line for line in (RECIPE / "Dockerfile").read_text().splitlines() if line.startswith(kept)] + [f"LABEL {LABEL}={mark}"]
    name, _, tag = image.partition(":")
    return query(fromSrc="-", repo=name, tag=tag) + "".join("&" + query(changes=change)[1:] for change in changes)


def _run_mmdebstrap(command: list[str], step: Step, log: Path) -> None:
    seconds = 900.0
    environment = {"PATH": os.pathsep.join([os.defpath, "/usr/local/sbin", "/usr/sbin", "/sbin"]), "HOME": "/root", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    )
    watchdog = threading.Timer(seconds, process.kill)
    assert process.stdout is not None
    watchdog.start()
    try:
        with log.open("a") as words:
            for place, line in enumerate(process.stdout):
                words.write(line)
                if line.startswith("I: "):
                    step.at(min(0.95, 0.1 + place / 25), line[3:].strip()[:50])
        if process.wait() != 0:
            raise ImageFailed(f"mmdebstrap failed: {debian.last_lines(log, 6)}")
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.terminate()
        process.wait()
        process.stdout.close()


def _proxy_options() -> list[str]:
    """The host's apt proxy, which mmdebstrap's own apt would not know."""
    if shutil.which("apt-config") is None:
        return []
    answer = subprocess.run(["apt-config", "dump", "--format", "%f %v%n"], capture_output=True, text=True, check=False).stdout
    keys = ("Acquire::http::Proxy ", "Acquire::https::Proxy ")
    return [
        f'--aptopt={line.split()[0]} "{line.split(None, 1)[1]}"'
        for line in answer.splitlines()
        if line.startswith(keys) and len(line.split()) > 1
    ]


def _mirror() -> list[str]:
    """The host's own Debian mirror when it is a Debian; mmdebstrap's default otherwise (an empty list)."""
    try:
        release = Path("/etc/os-release").read_text()
    except OSError:
        return []
    if "\nID=debian\n" not in f"\n{release}\n":
        return []
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)|$(ORIGIN)|$(LABEL)|$(COMPONENT)"], capture_output=True, text=True, check=False
    )
    for line in answer.stdout.splitlines():
        site, origin, label, component = line.split("|")
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return [site]
    return []


class _Measured:
    """A file that shows on a step how much of it has been read."""

    def __init__(self, file: BinaryIO, size: int, step: Step) -> None:
        self.file, self.size, self.step, self.seen = file, size, step, 0

    def read(self, count: int = -1) -> bytes:
        data = self.file.read(1 << 20 if count < 0 else max(count, 1 << 18))
        self.seen += len(data)
        self.step.at(self.seen / max(1, self.size), f"{self.seen >> 20} MiB")
        return data


def _forget_old(api: EngineApi, mark: str) -> None:
    """Images of earlier recipes are ours and only take space; one that a container still uses is left."""
    images: list[dict[str, Any]] = api.json("GET", f"/images/json{query(filters={'label': [LABEL]})}") or []
    for image in images:
        if image.get("Labels", {}).get(LABEL) == mark:
            continue
        for tag in image.get("RepoTags") or []:
            try:
                api.json("DELETE", f"/images/{tag}")
            except EngineError:
                continue


if __name__ == "__main__":  # by hand: python -m demo.images unix:///var/run/docker.sock
    prepare(EngineApi(sys.argv[1]), Path(".aerie/image.log"))

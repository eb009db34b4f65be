"""The images that the compose files start from: the official ones where a registry answers, else stand-ins made of Debian packages.

Stand-ins keep names of their own (aerie-test/…, by a hash of their recipe): a person's engine must never hold something of ours under
the name `mariadb` or `python`. They stay in the engine for the next run.
"""

import fcntl
import hashlib
import io
import os
import tarfile
import tempfile
from pathlib import Path

from demo import images
from setup import debian
from setup.engine_api import EngineApi, EngineError, query
from setup.progress import Step

RECIPE = Path(__file__).parent / "stand_ins"
LABEL = "dev.aerie.test"
OFFICIAL = {"AERIE_MARIADB_IMAGE": "mariadb:11.4", "AERIE_REDIS_IMAGE": "redis:7", "PYTHON_IMAGE": "python:3.11-slim"}
SILENCE = 300.0  # seconds an engine may say nothing while it works
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ready(api: EngineApi, folder: Path) -> dict[str, str]:
    """Variable of the compose files and of the Dockerfile to the image, each in the engine now. `folder` keeps lock and log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "official-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = _mark(*sorted(RECIPE.iterdir()))
        made = {name: f"aerie-test/{name.split('_')[-2].lower()}:{mark}" for name in OFFICIAL}
        if all(_there(api, image) for image in made.values()):
            return made
        if all(_there(api, image) or _pulled(api, image) for image in OFFICIAL.values()):
            return dict(OFFICIAL)
        _make(api, made, mark, folder / "official-images.log")
        return made


def _mark(*files: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _there(api: EngineApi, image: str) -> bool:
    try:
        api.json("GET", f"/images/{image}/json")
    except EngineError as error:
        if error.status == 404:
            return False
        raise
    return True


def _pulled(api: EngineApi, image: str) -> bool:
    name, _, tag = image.partition(":")
    try:
        for _record in api.events("POST", f"/images/create{query(fromImage=name, tag=tag)}", timeout=images.REGISTRY_SECONDS):
            pass
    except EngineError:
        return False
    return _there(api, image)


def _make(api: EngineApi, made: dict[str, str], mark: str, log: Path) -> None:
    log.write_text("")
    tree = _mark(RECIPE / "packages", RECIPE / "finish.sh")
    base = f"aerie-test/base:{tree}"
    if not _there(api, base):
        _import(api, base, log)
    for name, image in made.items():
        short = name.split("_")[-2].lower()
        if short == "python":
            repository, _, tag = image.partition(":")
            api.json("POST", f"/images/{base}/tag{query(repo=repository, tag=tag)}")
            continue
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in sorted(RECIPE.iterdir()):
                archive.add(path, path.name)
            text = (RECIPE / f"{short}.dockerfile").read_text().replace("MARK", tree).encode()
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        parameters = query(t=image, labels={LABEL: mark}, rm="true", forcerm="true")
        for _ in api.events("POST", f"/build{parameters}", packed.getvalue(), {"Content-Type": "application/x-tar"}, SILENCE):
            pass


def _import(api: EngineApi, image: str, log: Path) -> None:
    """One Debian tree for all of them: the packages overlap, and one import is quicker than three."""
    program = debian.which("mmdebstrap")
    if program is None:
        debian.install(["mmdebstrap", "debian-archive-keyring", "tar"], "Installing mmdebstrap", log)
        program = debian.which("mmdebstrap")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="aerie-image-") as folder:
        tree = Path(folder) / "tree.tar"
        options = [
            "--variant=minbase", f"--include={','.join((RECIPE / 'packages').read_text().split())}",
            "--aptopt=APT::Install-Recommends false", "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude={path}/*" for path in ("/usr/share/doc", "/usr/share/man", "/usr/share/locale")),
            *images._proxy_options(), f"--customize-hook=sh '{RECIPE / 'finish.sh'}' \"$1\"",
        ]  # fmt: skip
        if CERTIFICATES.exists():  # whom this machine trusts when it fetches packages
            options.append(f"--customize-hook=upload {CERTIFICATES} {CERTIFICATES}")
        with Step("Making Python, MariaDB and Redis with mmdebstrap") as step:
            images._run_mmdebstrap([program, *options, images.SUITE, str(tree), *images._mirror()], step, log)
        name, _, tag = image.partition(":")
        changes = [f"LABEL {LABEL}={tag}", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *_pip()]
        parameters = query(fromSrc="-", repo=name, tag=tag) + "".join("&" + query(changes=change)[1:] for change in changes)
        with tree.open("rb") as archive:
            for _ in api.events("POST", f"/images/create{parameters}", archive, {"Content-Type": "application/x-tar"}, SILENCE):
                pass


def _pip() -> list[str]:
    """How pip reaches packages from this machine."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
    kept = [f"ENV {name}={value}" for name in names if (value := os.environ.get(name))]
    return [*kept, f"ENV PIP_CERT={CERTIFICATES}"] if CERTIFICATES.exists() else kept

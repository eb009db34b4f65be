"""An image of a few megabytes, made in a second from this machine's own bash: for tests that bring an engine of their own.

Its command runs `$STARTUP` with bash, as the eggs' images do. The same files give the same tag.
"""

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from setup.engine_api import EngineApi, query

PROGRAMS = ("bash", "sleep", "cat", "mkdir", "seq", "head", "tail", "id")
COMMAND = 'CMD ["/bin/bash", "-c", "exec /bin/bash -c \\"$STARTUP\\""]'
NAME = "aerie-test/tiny"


def ready(api: EngineApi) -> str:
    """Its reference as an egg names it (`~`: local), in the engine now."""
    body = _tarball()
    tag = hashlib.sha256(body + COMMAND.encode()).hexdigest()[:12]
    if not any(f"{NAME}:{tag}" in (image.get("RepoTags") or ()) for image in api.json("GET", "/images/json")):
        wanted = query(fromSrc="-", repo=NAME, tag=tag, changes=COMMAND)
        for _record in api.events("POST", f"/images/create{wanted}", body=io.BytesIO(body)):
            pass
    return f"~{NAME}:{tag}"


def _tarball() -> bytes:
    """The programs, the libraries they want, and the folders that games expect."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "tmp", "home", "home/container", "mnt", "mnt/server", "mnt/install"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for name, path in sorted(_files().items()):
            data = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _files() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for program in PROGRAMS:
        path = shutil.which(program)
        assert path is not None, f"this machine has no {program}"
        found[f"bin/{program}"] = Path(path)
        linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for word in linked.split():
            if word.startswith("/"):
                found[word.lstrip("/")] = Path(word).resolve()
    return found

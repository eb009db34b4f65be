"""An /etc/passwd and /etc/group for a container whose user its image has never heard of.

Images for Wings know a user `container`, mostly of another number than the one they are run as. Without a name for it, Java has no home
folder (`user.home` is `?`), and whoami, ssh and git fail. So the name is given to the number; both files are mounted read-only.
"""

from pathlib import Path

NAME = "container"


def write(folder: Path, uid: int, gid: int, home: str) -> tuple[str, str]:
    """Write both files below `folder` and answer them as Docker's binds. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    passwd, group = folder / f"{uid}.passwd", folder / f"{uid}.group"
    _put(passwd, f"root:x:0:0:root:/root:/bin/sh\n{NAME}:x:{uid}:{gid}::{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    _put(group, f"root:x:0:\n{NAME}:x:{gid}:\nnogroup:x:65534:\n")
    return f"{passwd}:/etc/passwd:ro", f"{group}:/etc/group:ro"


def remove(folder: Path, uid: int) -> None:
    for kind in ("passwd", "group"):
        (folder / f"{uid}.{kind}").unlink(missing_ok=True)


def _put(file: Path, text: str) -> None:
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)

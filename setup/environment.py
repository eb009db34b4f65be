"""Makes and refreshes `.venv` from the hashed locks: `python -m setup.environment runtime|dev`.

Knows pip, the lock files and the stamp that says which of them is installed. Runs with the standard library alone.
Must never install anything that a lock does not name, nor touch the network when the stamp says that nothing changed.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from setup.debian import last_lines
from setup.progress import Step, say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "aerie-stamp.json"
LOG = ROOT / ".aerie" / "setup.log"
LOCKS = {"runtime": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}

LAUNCHER = """#!/bin/sh
# Starts Aerie from the tree this environment belongs to.
exec "$(dirname -- "$(readlink -f -- "$0" 2> /dev/null || echo "$0")")/python" -m aerie "$@"
"""


def main() -> int:
    """Entry: the kind of lock is the only argument."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if kind not in LOCKS:
        say(f"Unknown kind of environment '{kind}': choose one of {', '.join(LOCKS)}.")
        return 2
    wanted = {name: hashlib.sha256(lock.read_bytes()).hexdigest() for name, lock in LOCKS.items()}
    if current(kind, wanted):
        return 0
    if not usable():
        with Step(f"Making a virtual environment with Python {sys.version_info.major}.{sys.version_info.minor}"):
            shutil.rmtree(VENV, ignore_errors=True)
            venv.create(VENV, with_pip=True, symlinks=True)
    elif not has_pip():
        subprocess.run([PYTHON, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
    STAMP.unlink(missing_ok=True)
    if not install(LOCKS[kind]):
        say(last_lines(LOG, 15))
        say("pip could not install the locked packages; its last words are above and in .aerie/setup.log. Check the network and try again.")
        return 1
    write_launcher()
    # the dev lock holds the runtime lock and more
    installed = ["runtime"] if kind == "runtime" else list(LOCKS)
    STAMP.write_text(json.dumps({"root": str(ROOT), "locks": {name: wanted[name] for name in installed}}, indent=1) + "\n")
    return 0


def current(kind: str, wanted: dict[str, str]) -> bool:
    """Does the environment already hold what this lock says, for a tree at this place?"""
    try:
        stamp = json.loads(STAMP.read_text())
        return bool(stamp["root"] == str(ROOT) and stamp["locks"].get(kind) == wanted[kind] and (VENV / "bin" / "aerie").exists())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def usable() -> bool:
    """Can the environment's own Python be kept? Not when it is missing, broken, too old, or belongs to a tree that was moved."""
    try:
        question = "import sys; print(sys.version_info >= (3, 11), sys.prefix)"
        answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return False
    try:
        moved = json.loads(STAMP.read_text())["root"] != str(ROOT)
    except (OSError, ValueError, KeyError, TypeError):
        moved = False
    return answer == f"True {VENV}" and not moved


def has_pip() -> bool:
    """Some tools make environments without pip."""
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def install(lock: Path) -> bool:
    """Install one lock with its hashes, showing how far it is; False when pip fails."""
    total = len(re.findall(r"^[A-Za-z0-9][^\s=]*==", lock.read_text(), flags=re.MULTILINE))
    command = [
        str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input", "--disable-pip-version-check",
        "--progress-bar", "off", "--requirement", str(lock),
    ]  # fmt: skip
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with Step(f"Installing {total} locked packages") as step, LOG.open("a") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, "PIP_NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            log.write(line)
            words = line.split()
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                seen += 1
                step.at(0.8 * seen / max(1, total), words[-1] if words[0] == "Collecting" else words[3])
            elif line.startswith("Installing collected packages"):
                step.at(0.85, "unpacking")
        if process.wait() != 0:
            step.done("failed")
            return False
    return True


def write_launcher() -> None:
    """Put the `aerie` command into the environment and the tree on its path, without a build and without the network."""
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=True).stdout.strip())
    (packages / "aerie-tree.pth").write_text(f"{ROOT}\n")
    launcher = VENV / "bin" / "aerie"
    launcher.unlink(missing_ok=True)
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())

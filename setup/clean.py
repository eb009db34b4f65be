"""Forgets everything that was made in this tree: environment, demo, tests' services, private engine: `make clean`.

Must never remove anything outside the tree, save the socket folders of our own engines.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from setup import processes
from setup.engine import PrivateEngine
from setup.progress import Step, say

ROOT = Path(__file__).resolve().parent.parent
PLACES = (".aerie", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache", "build")


def main() -> int:
    """Entry."""
    with Step("Ending what still runs"):
        for record in sorted((ROOT / ".aerie").glob("*/processes/*.json")) + sorted((ROOT / ".aerie" / "test").glob("*.json")):
            processes.end(record, 15.0)
        for folder in (ROOT / ".aerie" / "engine", ROOT / ".aerie" / "test" / "engine"):
            if folder.exists():
                PrivateEngine(folder).stop()
                mounted = [
                    line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1].startswith(str(folder))
                ]
                for place in reversed(mounted):
                    subprocess.run(["umount", place], check=False)
    with Step("Removing what was made"):
        for name in PLACES:
            shutil.rmtree(ROOT / name, ignore_errors=True)
        for cache in [*ROOT.glob("*/**/__pycache__"), ROOT / "__pycache__"]:
            shutil.rmtree(cache, ignore_errors=True)
    say("Clean.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

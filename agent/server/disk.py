"""How much disk a server's files take: a walk, run in a thread by its caller."""

import os
from pathlib import Path


def usage(folder: Path) -> int:
    """Bytes of all regular files (apparent size); links are not followed, a hard link counts once, a file that vanishes not at all."""
    total, seen = 0, set()
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(Path(entry.path))
                        elif entry.is_file(follow_symlinks=False):
                            facts = entry.stat(follow_symlinks=False)
                            if facts.st_nlink == 1 or (facts.st_dev, facts.st_ino) not in seen:
                                seen.add((facts.st_dev, facts.st_ino))
                                total += facts.st_size
                    except FileNotFoundError:
                        continue
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
    return total

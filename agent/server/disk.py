"""How much disk a server's files take, by the folder's path: a walk, run in a thread by its caller."""

from pathlib import Path

from agent.filesystem import usage as walk
from agent.filesystem.root import Root
from core.errors import NotFound


def usage(folder: Path) -> int:
    """Bytes of all regular files, as `agent.filesystem.usage` counts them; a folder that is not there takes none."""
    try:
        root = Root(folder)
    except NotFound:
        return 0
    try:
        return walk.usage(root.descriptor)
    finally:
        root.close()

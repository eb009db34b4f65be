"""How this node counts its servers' files and holds them to their limits: found by trying, best first. Says why it is not a better way.

For the agent, at its start, and for `aerie doctor`. Runs in a thread.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from agent.filesystem.hard_quota import HardQuota, NoHardQuota
from agent.filesystem.project_quota import ProjectQuota
from agent.filesystem.qgroup_quota import QgroupQuota

log = logging.getLogger(__name__)

PROJECT_IDS = "projects.json"
"""In the agent's root directory."""


@dataclass(frozen=True)
class Method:
    """`hard` is None where the agent counts and the kernel does not help; `why` then says why, in whole sentences."""

    hard: HardQuota | None
    why: str

    @property
    def words(self) -> str:
        """For people."""
        if self.hard is None:
            return f"counted by the agent, which stops a server over its limit, but cannot keep it from a last large write. {self.why}"
        return f"hard limits by {self.hard.name}: the kernel refuses what would go over"


def best_method(data: Path, root_directory: Path, wanted: str, *, asking: bool = False) -> Method:
    """`data` is the folder of all servers, and there; `wanted` the setting `disk_quota`. Only `asking`, nothing is turned on."""
    if wanted == "off":
        return Method(None, "Hard limits are turned off ([system] disk_quota).")
    reasons: list[str] = []
    try:
        return Method(QgroupQuota(data, asking=asking), "")
    except NoHardQuota as reason:
        if "not btrfs" not in str(reason):
            reasons.append(str(reason))
    except OSError as error:
        reasons.append(f"btrfs refuses: {error.strerror}")
    if not reasons:
        try:
            return Method(ProjectQuota(data, root_directory / PROJECT_IDS, asking=asking), "")
        except NoHardQuota as reason:
            reasons.append(str(reason))
        except OSError as error:
            reasons.append(f"the file system refuses: {error.strerror}")
    return Method(None, f"A hard limit is not possible here: {'; '.join(reasons)}.")

"""File systems made for a test in a file and mounted: btrfs, and ext4 and xfs with project quotas. Skips with the kernel's own reason."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from setup import debian

MAKERS = {
    "btrfs": ("mkfs.btrfs", "-q"),
    "ext4": ("mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"),
    "xfs": ("mkfs.xfs", "-q"),
}
MEBIBYTES = 320
"""The least that mkfs.xfs makes is 300."""
_SECONDS = 20


def _said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)


def _kernel_said() -> str:
    lines = [line for line in _said("dmesg").stdout.splitlines() if "loop" in line and ("quota" in line.lower() or "QFMT" in line)]
    return lines[-1].partition("] ")[2] if lines else ""


@contextmanager
def mounted(kind: str, folder: Path, *options: str) -> Iterator[Path]:
    """A fresh file system, mounted below `folder`; answers where."""
    maker = debian.which(MAKERS[kind][0])
    if maker is None:
        pytest.skip(f"{MAKERS[kind][0]} is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    image, place = folder / f"{kind}.img", folder / kind
    with image.open("wb") as file:
        file.truncate(MEBIBYTES << 20)
    made = _said(maker, *MAKERS[kind][1:], str(image))
    assert made.returncode == 0, made.stderr
    place.mkdir()
    wanted = ("loop", *options) if options or kind == "btrfs" else ("loop", "prjquota")
    done = _said("mount", "-t", kind, "-o", ",".join(wanted), str(image), str(place))
    if done.returncode != 0:
        pytest.skip(f"this kernel mounts no {kind} with {','.join(wanted)}: {_kernel_said() or done.stderr.strip().splitlines()[0]}")
    try:
        yield place
    finally:
        _unmount(place)
        image.unlink()


def _unmount(place: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while (done := _said("umount", str(place))).returncode != 0:
        if time.monotonic() > deadline:
            _said("umount", "-l", str(place))
            pytest.fail(f"the test's file system stays busy: {done.stderr.strip()}")
        time.sleep(0.2)

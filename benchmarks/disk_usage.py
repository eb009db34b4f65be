"""What a server's files take: the first whole count, and the figure kept true while files change, beside `du` of the same tree.

Yardstick: `du -s`, run as a program on 100,000 files in 1,020 folders, in the same rounds. A query is what the agent does after a file has
changed: take what inotify tells, look at that file, answer the sum. At the end the figure must be `du`'s: `make bench NAME=disk_usage`.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from agent.filesystem.volume import Volume
from agent.filesystem.watching import Watcher
from core.protocol.settings import ServerSettings

UUID = "11111111-2222-4333-8444-555555555599"
FOLDERS, FILES = 1000, 100
CHANGING = 500
"""Files that change while it is asked, as a game's do: again and again."""
QUERIES = 5000
ROUNDS = 5


def du(folder: Path) -> tuple[float, int]:
    """Seconds, and bytes without the root's own block, as quota.py counts."""
    begun = time.perf_counter()
    said = subprocess.run(["du", "-s", "-B1", str(folder)], capture_output=True, check=True, text=True).stdout
    return time.perf_counter() - begun, int(said.split()[0]) - min(4096, folder.stat().st_blocks * 512)


def make(folder: Path) -> list[Path]:
    """The tree; answers all files."""
    files = []
    for number in range(FOLDERS):
        inner = folder / f"world{number // 50}" / f"region{number}"
        inner.mkdir(parents=True)
        for name in range(FILES):
            files.append(inner / f"chunk{name}")
            files[-1].write_bytes(b"x" * 100)
    return files


def fresh(folder: Path, watcher: Watcher) -> Volume:
    settings = ServerSettings.model_validate({"uuid": UUID, "build": {"disk_space": 100_000}})
    return Volume(folder, (os.getuid(), os.getgid()), lambda: settings, time.monotonic, None, 0, watcher)


def measure(place: Path, rounds: int) -> dict[str, object]:
    folder = place / UUID
    files = make(folder)
    os.sync()
    du(folder)
    yard: list[float] = []
    first: list[float] = []
    for number in range(rounds):
        watcher = Watcher()
        volume = fresh(folder, watcher)
        yard.append(du(folder)[0])
        begun = time.perf_counter()
        volume.prepare()
        volume.measure()
        first.append(time.perf_counter() - begun)
        if number < rounds - 1:
            watcher.close()
    volume.begin()
    chance = random.Random(1)
    changing = chance.sample(files, CHANGING)
    queries: list[float] = []
    for _ in range(QUERIES):
        with chance.choice(changing).open("ab") as file:
            file.write(b"y" * chance.randrange(5000))
        begun = time.perf_counter()
        watcher.drain()
        volume.count()
        used = volume.used
        queries.append(time.perf_counter() - begun)
    exact = du(folder)[1]
    if used != exact:
        raise SystemExit(f"the figure is {used}, du says {exact}")
    watcher.close()
    whole = statistics.median(yard)
    queries.sort()
    return {
        "benchmark": "disk_usage",
        "ratios": {"query": round(statistics.mean(queries) / whole, 5), "scan": round(statistics.median(first) / whole, 2)},
        "figures": {
            "query_us": round(statistics.median(queries) * 1e6),
            "query_mean_us": round(statistics.mean(queries) * 1e6),
            "query_p99_us": round(queries[len(queries) * 99 // 100] * 1e6),
            "scan_ms": round(statistics.median(first) * 1000),
        },
        "yardsticks": {"du_ms": round(whole * 1000), "files": FOLDERS * FILES},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Disk usage beside du.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aerie-disk-usage-") as made:
        print(json.dumps(measure(Path(made), options.rounds)))

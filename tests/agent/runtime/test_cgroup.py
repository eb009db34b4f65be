"""A container's figures out of recorded cgroup trees, v1 and v2 alike."""

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.runtime import cgroup
from agent.runtime.cgroup import LIMITS_SECONDS, CgroupMeter, traffic
from core.clock import ManualClock
from tests.agent.runtime.cgroup_trees import ID, PID, V1_MEMBERSHIP, Tree, plant

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ALL_CORES = 100.0 * (os.cpu_count() or 1)


@pytest.fixture(params=[False, True], ids=["v1", "v2"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return plant(tmp_path, v2=request.param)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Held:
    """A meter over a tree, and how many files of the tree are open."""

    def __init__(self, tree: Tree, clock: ManualClock) -> None:
        self.tree, self.clock = tree, clock
        self.meters: list[CgroupMeter] = []

    def opened(self) -> CgroupMeter:
        began = self.clock.now() - timedelta(seconds=30)
        self.meters.append(CgroupMeter(PID, ID, began, self.clock, root=self.tree.root, proc=self.tree.proc))
        return self.meters[-1]

    def files(self) -> int:
        base = str(self.tree.root.parent)
        return sum(1 for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and os.path.realpath(link).startswith(base))


@pytest.fixture
def held(tree: Tree, clock: ManualClock) -> Iterator[Held]:
    made = Held(tree, clock)
    yield made
    for meter in made.meters:
        meter.close()
    assert made.files() == 0


async def test_figures_are_those_docker_would_tell(held: Held, clock: ManualClock, tree: Tree) -> None:
    meter = held.opened()
    await clock.advance(2.0)
    tree.cpu(5_500_000_000)
    sample = meter.sample()
    assert sample.cpu_absolute == 25.0
    assert sample.memory_bytes == 90_000_000
    assert sample.memory_limit_bytes == MACHINE
    assert (sample.rx_bytes, sample.tx_bytes) == (200, 300)
    assert sample.uptime_ms == 32_000
    assert sample.cpu_limit == ALL_CORES
    assert sample.oom_kills == 0


async def test_cache_is_not_taken_off_when_it_is_more_than_all(held: Held, tree: Tree) -> None:
    meter = held.opened()
    tree.use(1_000, 1_001)
    assert meter.sample().memory_bytes == 1_000


async def test_limits_are_read_and_read_again(held: Held, clock: ManualClock, tree: Tree) -> None:
    tree.limit(256_000_000)
    tree.quota(50)
    meter = held.opened()
    assert (meter.sample().memory_limit_bytes, meter.sample().cpu_limit) == (256_000_000, 50.0)
    tree.limit(512_000_000)
    tree.quota(100_000)
    await clock.advance(LIMITS_SECONDS)
    assert (meter.sample().memory_limit_bytes, meter.sample().cpu_limit) == (512_000_000, ALL_CORES)


async def test_a_counter_that_goes_back_is_no_time_at_all(held: Held, clock: ManualClock, tree: Tree) -> None:
    meter = held.opened()
    await clock.advance(1.0)
    tree.cpu(1_000)
    assert meter.sample().cpu_absolute == 0.0
    await clock.advance(1.0)
    tree.cpu(500_001_000)
    assert meter.sample().cpu_absolute == 50.0


async def test_no_container_has_more_than_the_machine(held: Held, clock: ManualClock, tree: Tree) -> None:
    meter = held.opened()
    await clock.advance(1.0)
    tree.cpu(10**18)
    assert meter.sample().cpu_absolute == ALL_CORES


async def test_two_looks_at_once_do_not_make_a_leap(held: Held, clock: ManualClock, tree: Tree) -> None:
    meter = held.opened()
    await clock.advance(1.0)
    tree.cpu(5_300_000_000)
    assert meter.sample().cpu_absolute == 30.0
    await clock.advance(0.001)
    tree.cpu(5_301_000_000)
    assert meter.sample().cpu_absolute == 30.0


async def test_the_time_it_runs_does_not_follow_the_clock_on_the_wall(tree: Tree) -> None:
    class Leaping(ManualClock):
        leap = timedelta(0)

        def now(self) -> datetime:
            return super().now() + self.leap

    clock = Leaping()
    meter = CgroupMeter(PID, ID, clock.now() - timedelta(seconds=5), clock, root=tree.root, proc=tree.proc)
    clock.leap = timedelta(hours=-3)
    await clock.advance(1.0)
    assert meter.sample().uptime_ms == 6_000
    clock.leap = timedelta(days=400)
    assert meter.sample().uptime_ms == 6_000
    meter.close()


async def test_what_began_in_the_future_runs_no_negative_time(tree: Tree, clock: ManualClock) -> None:
    meter = CgroupMeter(PID, ID, clock.now() + timedelta(hours=1), clock, root=tree.root, proc=tree.proc)
    assert meter.sample().uptime_ms == 0
    meter.close()


async def test_every_card_counts_but_the_loopback(held: Held, tree: Tree) -> None:
    meter = held.opened()
    tree.network(eth0=(200, 300), eth1=(1_000_000_000_000, 5), wg0=(0, 1))
    sample = meter.sample()
    assert (sample.rx_bytes, sample.tx_bytes) == (1_000_000_000_200, 306)


async def test_without_a_network_nothing_was_sent(held: Held, tree: Tree) -> None:
    tree.network()
    sample = held.opened().sample()
    assert (sample.rx_bytes, sample.tx_bytes) == (0, 0)


async def test_the_machine_s_own_traffic_is_not_the_container_s(held: Held, tree: Tree) -> None:
    tree.own_network(own=False)
    sample = held.opened().sample()
    assert (sample.rx_bytes, sample.tx_bytes) == (0, 0)


def test_old_kernels_write_the_first_count_close_to_the_name() -> None:
    assert traffic(b"eth0:12345 1 0 0 0 0 0 0 678 1 0 0 0 0 0 0\n") == (12345, 678)


async def test_what_the_kernel_killed_is_counted(held: Held, tree: Tree) -> None:
    meter = held.opened()
    tree.kill(3)
    assert meter.sample().oom_kills == 3


async def test_a_kernel_that_does_not_count_kills_does_without(held: Held, tree: Tree) -> None:
    (tree.memory / ("memory.events" if tree.v2 else "memory.oom_control")).unlink()
    assert held.opened().sample().oom_kills is None


async def test_another_process_with_the_same_number_is_not_measured(held: Held, tree: Tree) -> None:
    text = "0::/docker/" if tree.v2 else V1_MEMBERSHIP
    tree.belongs(text.replace(ID, "0" * 64) + ("0" * 64 + "\n" if tree.v2 else ""))
    with pytest.raises(FileNotFoundError):
        held.opened()


async def test_a_number_that_changes_hands_while_it_is_opened_is_noticed(held: Held, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    read = cgroup._text

    def once_then_another(path: str) -> str:
        text = read(path)
        if path.endswith("/cgroup"):
            tree.belongs("0::/elsewhere\n")
        return text

    monkeypatch.setattr(cgroup, "_text", once_then_another)
    with pytest.raises(ProcessLookupError):
        held.opened()


async def test_processes_in_cgroups_of_their_own_making_count_with_the_container(held: Held, tree: Tree) -> None:
    text = f"0::/docker/{ID}/init.scope\n" if tree.v2 else re.sub(ID, f"{ID}/init.scope", V1_MEMBERSHIP)
    tree.belongs(text)
    assert held.opened().sample().memory_bytes == 90_000_000


async def test_a_tree_that_lacks_a_file_is_refused_without_a_leak(held: Held, tree: Tree) -> None:
    (tree.memory / "memory.stat").unlink()
    with pytest.raises(FileNotFoundError):
        held.opened()
    assert held.files() == 0


async def test_a_file_that_says_nothing_means_that_it_is_over(held: Held, tree: Tree) -> None:
    meter = held.opened()
    (tree.memory / "memory.stat").write_text("")
    with pytest.raises(ProcessLookupError):
        meter.sample()


async def test_a_mixed_machine_is_read_by_its_older_half(tmp_path: Path, clock: ManualClock) -> None:
    tree = plant(tmp_path, v2=False)
    (tree.root / "docker" / ID).mkdir(parents=True)
    meter = CgroupMeter(PID, ID, clock.now(), clock, root=tree.root, proc=tree.proc)
    assert meter.sample().memory_bytes == 90_000_000
    meter.close()


async def test_names_of_systemd_s_scopes_are_known(tmp_path: Path, clock: ManualClock) -> None:
    tree = plant(tmp_path, v2=True)
    scope = f"system.slice/docker-{ID}.scope"
    (tree.root / "system.slice").mkdir()
    (tree.root / "docker" / ID).rename(tree.root / scope)
    tree.belongs(f"0::/{scope}\n")
    meter = CgroupMeter(PID, ID, clock.now(), clock, root=tree.root, proc=tree.proc)
    assert meter.sample().memory_bytes == 90_000_000
    meter.close()

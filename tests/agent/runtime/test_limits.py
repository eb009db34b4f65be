"""Limits, number by number as Wings counts them, and what a running container can be told."""

from pathlib import Path
from typing import Any

import pytest

from agent.runtime.limits import Honoured, adjustment, honoured, limits, overhead
from core.agent_settings import DockerSection
from core.errors import RuntimeFailure
from core.protocol.settings import Build

ALL = Honoured(io_weight=True)


def made(machine: Honoured = ALL, **build: object) -> dict[str, Any]:
    return limits(Build.model_validate({"oom_disabled": False, **build}), DockerSection(), 512, machine)


@pytest.mark.parametrize(("limit", "bytes_"), [(1000, 1_150_000_000), (2048, 2_355_200_000), (4096, 4_505_600_000), (8192, 8_601_600_000)])
def test_memory_gets_wings_overhead(limit: int, bytes_: int) -> None:
    assert made(memory_limit=limit)["Memory"] == bytes_
    assert made(memory_limit=limit)["MemoryReservation"] == limit * 1_000_000


@pytest.mark.parametrize(("memory", "factor"), [(100, 1.5), (1024, 1.5), (1025, 1.2), (4096, 1.2), (4097, 1.07)])
def test_an_own_table_of_overheads_takes_the_smallest_entry_that_holds_the_limit(memory: int, factor: float) -> None:
    docker = DockerSection(overhead={4096: 1.2, 1024: 1.5}, overhead_default=1.07)
    assert overhead(memory, docker) == factor


def test_swap_goes_with_memory_or_not_at_all() -> None:
    assert made(memory_limit=1000, swap=-1)["MemorySwap"] == -1
    assert made(memory_limit=1000, swap=500)["MemorySwap"] == 1_650_000_000
    assert made(memory_limit=1000, swap=0)["MemorySwap"] == 1_150_000_000
    assert not {"Memory", "MemorySwap", "OomKillDisable"} & made(memory_limit=0, swap=500).keys()


def test_cpu_is_limited_only_where_asked() -> None:
    assert {"CpuQuota": 150_000, "CpuPeriod": 100_000, "CpuShares": 1024}.items() <= made(cpu_limit=150).items()
    assert "CpuQuota" not in made()


@pytest.mark.parametrize(("threads", "told"), [("0-1", "0-1"), (" 0, 2 ,4-7", "0,2,4-7"), ("3", "3"), (2, "2")])
def test_a_server_is_pinned_to_threads(threads: object, told: str) -> None:
    assert made(threads=threads)["CpusetCpus"] == told


@pytest.mark.parametrize("threads", ["", None, "  "])
def test_without_pinning_it_has_all_threads(threads: object) -> None:
    assert "CpusetCpus" not in made(threads=threads)


@pytest.mark.parametrize("threads", ["a", "0-", "1,,2", "-1", "0;1", "0-1-2", "٣"])
def test_a_pinning_that_names_no_threads_is_refused_in_words(threads: str) -> None:
    with pytest.raises(RuntimeFailure, match="names no threads"):
        made(threads=threads)


def test_i_o_weight_and_the_oom_setting_are_left_out_where_the_kernel_has_none() -> None:
    assert made(io_weight=300)["BlkioWeight"] == 300
    assert "BlkioWeight" not in made(Honoured(), io_weight=300)
    assert not [weight for weight in (0, 9, 1001) if "BlkioWeight" in made(io_weight=weight)]
    assert made(memory_limit=100, oom_disabled=True)["OomKillDisable"] is True
    assert "OomKillDisable" not in made(Honoured(oom_disable=False), memory_limit=100)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], Honoured(io_weight=False, oom_disable=False)),
        (["blkio/blkio.throttle.read_bps_device", "memory/memory.oom_control"], Honoured(io_weight=False, oom_disable=True)),
        (["blkio/blkio.bfq.weight"], Honoured(io_weight=True, oom_disable=False)),
        (["cgroup.controllers", "system.slice/io.weight"], Honoured(io_weight=True, oom_disable=False)),
        (["cgroup.controllers", "system.slice/io.max", "memory/memory.oom_control"], Honoured(io_weight=False, oom_disable=False)),
    ],
    ids=["nothing", "v1", "v1 with bfq", "v2", "v2 without weights"],
)
def test_what_the_kernel_honours_is_read_from_its_files(tmp_path: Path, files: list[str], expected: Honoured) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert honoured(tmp_path) == expected


def test_pelican_s_oom_killer_is_the_other_way_round() -> None:
    assert Build.model_validate({"oom_killer": True}).oom_disabled is False
    assert Build.model_validate({"oom_killer": False}).oom_disabled is True
    assert Build.model_validate({"oom_killer": True, "oom_disabled": True}).oom_disabled is True
    assert Build().oom_disabled is True


@pytest.mark.parametrize(
    ("before", "after", "told", "waits"),
    [
        ({"memory_limit": 1000}, {"memory_limit": 1000}, set(), []),
        ({"memory_limit": 1000}, {"memory_limit": 2000}, {"Memory", "MemoryReservation", "MemorySwap"}, []),
        ({"memory_limit": 1000}, {"memory_limit": 1000, "swap": 5}, {"Memory", "MemoryReservation", "MemorySwap"}, []),
        ({"memory_limit": 1000}, {}, set(), ["its memory without a limit"]),
        ({}, {"memory_limit": 1000}, {"Memory", "MemoryReservation", "MemorySwap"}, []),
        ({"cpu_limit": 100}, {"cpu_limit": 50}, {"CpuQuota", "CpuPeriod", "CpuShares"}, []),
        ({"cpu_limit": 100}, {}, {"CpuQuota"}, []),
        ({"threads": "0"}, {"threads": "1"}, {"CpusetCpus"}, []),
        ({"threads": "0"}, {}, set(), ["its CPU without pinning"]),
        ({"io_weight": 500}, {"io_weight": 100}, {"BlkioWeight"}, []),
        (
            {"memory_limit": 1000, "oom_disabled": True},
            {"memory_limit": 1000, "oom_disabled": False},
            set(),
            ["its out-of-memory setting"],
        ),
    ],
)
def test_a_running_container_is_told_what_it_can_take_in(
    before: dict[str, object], after: dict[str, object], told: set[str], waits: list[str]
) -> None:
    change, waiting = adjustment(made(ALL, **before), made(ALL, **after))
    assert (set(change), waiting) == (told, waits)

"""Mounts: nothing of the machine but what its owner opened, whatever links say (DOC-4)."""

import socket
from pathlib import Path

import pytest

from agent.runtime.mounts import allowed
from core.protocol.settings import Mount


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path.resolve()
    for name in ("maps/deep", "maps-secret", "agent/volumes/other", "etc"):
        (root / name).mkdir(parents=True)
    (root / "maps" / "file").write_text("x")
    return root


def tried(place: Path, source: str, target: str = "/maps", roots: list[str] | None = None) -> tuple[list[dict[str, object]], list[str]]:
    mount = Mount(source=source, target=target, read_only=True)
    return allowed([mount], [str(place / "maps")] if roots is None else roots, [place / "agent"])


@pytest.mark.parametrize("name", ["maps", "maps/deep", "maps/file", "maps/", "maps/deep/../deep", "maps//deep/."])
def test_doc_4_what_lies_below_an_allowed_folder_is_mounted_as_it_was_found(place: Path, name: str) -> None:
    ((made,), faults) = tried(place, f"{place}/{name}")
    assert not faults
    assert (made["Source"], made["Target"], made["ReadOnly"]) == (str((place / name).resolve()), "/maps", True)
    assert made["BindOptions"] == {"Propagation": "rprivate"}


@pytest.mark.parametrize("name", ["maps-secret", "maps/../maps-secret", "etc", ".", "maps/..", "maps/nothing", "maps/file/x"])
def test_doc_4_prefix_twins_ways_up_and_missing_folders_are_refused(place: Path, name: str) -> None:
    made, (fault,) = tried(place, f"{place}/{name}")
    assert not made
    assert "is left out" in fault


@pytest.mark.parametrize(
    "source", ["/", "/etc", "/var/run/docker.sock", "/run/docker.sock", "/proc", "relative", "", "maps\0", "/srv,ro=0"]
)
def test_doc_4_the_machine_s_own_places_are_refused(place: Path, source: str) -> None:
    made, faults = tried(place, source)
    assert not made
    assert len(faults) == 1


def test_doc_4_links_inside_an_allowed_folder_lead_nowhere_else(place: Path) -> None:
    (place / "maps" / "out").symlink_to(place / "etc")
    (place / "maps" / "up").symlink_to("../maps-secret")
    (place / "maps" / "in").symlink_to("deep")
    (place / "maps" / "loop").symlink_to("loop")
    assert not tried(place, f"{place}/maps/out")[0]
    assert not tried(place, f"{place}/maps/up")[0]
    assert not tried(place, f"{place}/maps/loop")[0]
    assert tried(place, f"{place}/maps/in")[0][0]["Source"] == f"{place}/maps/deep"


def test_doc_4_an_allowed_folder_that_is_a_link_opens_what_it_leads_to_and_no_more(place: Path) -> None:
    (place / "link").symlink_to(place / "maps")
    roots = [str(place / "link")]
    assert tried(place, f"{place}/link/deep", roots=roots)[0][0]["Source"] == f"{place}/maps/deep"
    assert not tried(place, f"{place}/etc", roots=roots)[0]


def test_doc_4_sockets_are_no_folders(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(place / "maps" / "s"))
        made, (fault,) = tried(place, f"{place}/maps/s")
    assert not made
    assert "neither a folder nor a file" in fault


@pytest.mark.parametrize("name", ["", "agent", "agent/volumes", "agent/volumes/other"])
def test_doc_4_other_servers_and_the_agent_s_files_are_nobody_s_even_where_all_is_allowed(place: Path, name: str) -> None:
    made, (fault,) = tried(place, f"{place}/{name}", roots=["/"])
    assert not made
    assert "of the agent" in fault


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/home",
        "/home/container",
        "/home/container/x",
        "/home/container/../x",
        "/proc/1",
        "/sys",
        "/dev/shm",
        "/etc",
        "/etc/passwd",
        "/tmp",
        "x",
        "",
        "//etc",
        "/./etc",
        "/a\0",
    ],
)
def test_doc_4_nothing_is_mounted_over_what_a_container_stands_on(place: Path, target: str) -> None:
    made, faults = tried(place, f"{place}/maps", target)
    assert not made
    assert len(faults) == 1


def test_two_mounts_do_not_share_a_target(place: Path) -> None:
    mounts = [Mount(source=f"{place}/maps", target="/maps"), Mount(source=f"{place}/maps/deep", target="/maps/")]
    made, (fault,) = allowed(mounts, [str(place / "maps")], [])
    assert [one["Source"] for one in made] == [f"{place}/maps"]
    assert "taken already" in fault


def test_without_an_allowed_folder_there_is_no_mount(place: Path) -> None:
    assert not tried(place, f"{place}/maps", roots=[])[0]
    assert not tried(place, f"{place}/maps", roots=["", "relative", "/nowhere/at/all"])[0]

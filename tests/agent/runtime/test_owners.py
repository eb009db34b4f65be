"""Who a server runs as: its own user, the same after every restart."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from agent.runtime.owners import Owners, why_shared
from core.agent_settings import SystemSection
from core.errors import RuntimeFailure

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give servers their own users")


def system(folder: Path, **more: object) -> SystemSection:
    return SystemSection.model_validate({"root_directory": folder, **more})


@root
def test_each_server_has_its_own_user_for_as_long_as_it_lives(tmp_path: Path) -> None:
    settings = system(tmp_path)
    owners = Owners(settings)
    uuids = [str(uuid4()) for _ in range(300)]
    given = {uuid: owners.of(uuid) for uuid in uuids}
    assert len({uid for uid, _ in given.values()}) == 300
    assert all(70_000 <= uid < 90_000 and uid == gid for uid, gid in given.values())
    again = Owners(settings)
    assert {uuid: again.of(uuid) for uuid in reversed(uuids)} == given


@root
def test_nearly_all_keep_their_user_when_the_memory_is_lost(tmp_path: Path) -> None:
    settings, uuid = system(tmp_path), str(uuid4())
    before = Owners(settings).of(uuid)
    (tmp_path / "owners.json").write_text("{")
    assert Owners(settings).of(uuid) == before


@root
def test_a_forgotten_server_s_user_is_free_again_and_no_more_than_there_are(tmp_path: Path) -> None:
    owners = Owners(system(tmp_path, uid_count=2))
    first, second = owners.of("a"), owners.of("b")
    assert first != second
    with pytest.raises(RuntimeFailure, match="uid_count"):
        owners.of("c")
    owners.forget("a")
    assert owners.of("c") == first


def test_switched_off_all_share_one(tmp_path: Path) -> None:
    owners = Owners(system(tmp_path, uid_per_server=False, uid=4000, gid=5000))
    assert (owners.own, owners.of("a"), owners.of("b")) == (False, (4000, 5000), (4000, 5000))
    assert "uid_per_server" in owners.obstacle
    assert not list(tmp_path.iterdir())


def test_without_root_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "not root" in why_shared(system(tmp_path))

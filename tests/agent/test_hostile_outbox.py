"""Thousands of deeds in a loop: the outbox stays bounded, the control plane is told a hundred at a time, the journal forgets in parts."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent import outbox as module
from agent.journal import Journal
from core.clock import ManualClock
from core.protocol.remote import ActivityReport
from tests.agent.test_outbox import FakePlane, entry, sending, until


async def test_res_6_reports_have_a_hundred_entries_and_none_is_sent_again(tmp_path: Path) -> None:
    plane, clock = FakePlane(), ManualClock()
    async with sending(tmp_path, plane, clock) as box:
        for number in range(250):
            await box.activity(entry(number))
        await until(lambda: not box.waiting(), clock, 5.0)
    reports = [ActivityReport.model_validate(body).data for _, body in plane.taken]
    assert max(map(len, reports)) <= 100
    assert [one.metadata["n"] for report in reports for one in report] == list(range(250))


async def test_res_6_the_outbox_stays_bounded_while_the_control_plane_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ITEMS", 30)
    plane, clock = FakePlane(), ManualClock()
    plane.mood = 0
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/servers/s/install", {"successful": True}, stream="s")
        for number in range(60):
            await box.activity(entry(number))
        assert box.waiting() <= 30
        plane.mood = 204
        await until(lambda: not box.waiting(), clock, 30.0)
    assert [path for path, _ in plane.taken if path != "/activity"] == ["/servers/s/install"]


async def test_res_6_the_journal_forgets_more_at_once_than_sqlite_takes_parameters(tmp_path: Path) -> None:
    file = tmp_path / "outbox.sqlite3"
    journal = Journal(file)
    assert await journal.open() == []
    await journal.close()
    with closing(sqlite3.connect(file)) as table, table:
        table.executemany("INSERT INTO outbox (stream, path, body) VALUES ('activity', '/activity', ?)", [("{}",)] * 40_000)
    journal = Journal(file)
    items = await journal.open()
    assert len(items) == 40_000
    await journal.remove(items)
    await journal.close()
    again = Journal(file)
    assert await again.open() == []
    await again.close()

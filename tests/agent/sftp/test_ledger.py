"""A thousand deeds become a few lines, and none waits longer than a minute."""

from agent.sftp.grant import Grant
from agent.sftp.handler import Deed
from agent.sftp.ledger import HOLD_SECONDS, MOST_FILES, Ledger
from core.clock import ManualClock
from core.errors import RuntimeFailure
from core.protocol.remote import ActivityEntry

ALICE = Grant("u-alice", "s-1", frozenset())
BOB = Grant("u-bob", "s-1", frozenset())


class Ear:
    """Hears entries; deaf while told so."""

    def __init__(self) -> None:
        self.heard: list[ActivityEntry] = []
        self.deaf = False

    async def __call__(self, entry: ActivityEntry) -> None:
        if self.deaf:
            raise RuntimeFailure("deaf")
        self.heard.append(entry)


async def test_deeds_of_one_minute_are_one_entry_per_person_and_event() -> None:
    clock, ear = ManualClock(), Ear()
    ledger = Ledger(clock, ear)
    ledger.note(ALICE, "203.0.113.9", [Deed("write", "/a"), Deed("write", "/b"), Deed("delete", "/c")])
    ledger.note(BOB, "203.0.113.9", [Deed("write", "/d")])
    await ledger.send_due()
    assert not ear.heard
    await clock.advance(HOLD_SECONDS + 1)
    await ledger.send_due()
    assert sorted((entry.user, entry.event, tuple(entry.metadata["files"])) for entry in ear.heard) == [
        ("u-alice", "server:sftp.delete", ("/c",)),
        ("u-alice", "server:sftp.write", ("/a", "/b")),
        ("u-bob", "server:sftp.write", ("/d",)),
    ]
    assert {entry.timestamp for entry in ear.heard} == {ManualClock().now()}, "the time is that of the first deed"


async def test_res_6_a_thousand_uploads_are_ten_entries() -> None:
    ear = Ear()
    ledger = Ledger(ManualClock(), ear)
    ledger.note(ALICE, "203.0.113.9", [Deed("create", f"/{number}") for number in range(1000)])
    await ledger.send_due()
    assert [len(entry.metadata["files"]) for entry in ear.heard] == [MOST_FILES] * (1000 // MOST_FILES)


async def test_what_cannot_be_told_now_is_told_later() -> None:
    ear = Ear()
    ledger = Ledger(ManualClock(), ear)
    ledger.note(ALICE, "203.0.113.9", [Deed("rename", "/a", "/b")])
    ear.deaf = True
    try:
        await ledger.send_all()
    except RuntimeFailure:
        pass
    else:
        raise AssertionError("a failure was swallowed")
    ear.deaf = False
    await ledger.send_all()
    assert [entry.metadata["files"] for entry in ear.heard] == [[{"from": "/a", "to": "/b"}]]

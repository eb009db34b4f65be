"""The book of one console: every line ends shown, attached, collapsed or skipped."""

import gzip
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.ui.ansi import Level
from bot.workers import console_view
from bot.workers.transcript import Counts, Transcript
from core.protocol.socket import ConsoleBatch


def batch(first: int, *lines: str, dropped: int = 0) -> ConsoleBatch:
    return ConsoleBatch(first_seq=first, lines=list(lines), dropped=dropped)


def whole(counts: Counts) -> bool:
    return counts.produced == counts.shown + counts.attached + counts.collapsed + counts.skipped


def shown(book: Transcript, now: float, room: int = 1800) -> list[str]:
    book.look(now)
    shot = book.shot(room)
    book.taken(shot)
    return shot.lines


def test_few_lines_are_all_shown() -> None:
    book = Transcript()
    book.take(batch(1, "a", "b", "c"), 0)
    assert shown(book, 0) == ["a", "b", "c"]
    assert book.counts == Counts(produced=3, shown=3)


def test_equal_consecutive_lines_become_one_that_counts() -> None:
    book = Transcript()
    book.take(batch(1, "x", *["tick"] * 5, "y"), 0)
    assert shown(book, 0) == ["x", "tick (×5)", "y"]
    book.take(batch(8, "y", "y"), 1)
    assert shown(book, 1) == ["x", "tick (×5)", "y (×3)"]
    assert book.counts == Counts(produced=9, shown=3, collapsed=6)


def test_what_did_not_fit_is_skipped_and_told() -> None:
    book = Transcript()
    book.take(batch(1, *(f"line {number}" for number in range(200))), 0)
    book.look(0)
    shot = book.shot(500)
    assert (shot.new, shot.first, shot.last) == (200, 201 - len(shot.lines), 200)
    assert (shot.missing_from, shot.missing_to) == (1, 200 - len(shot.lines))
    book.taken(shot)
    assert book.counts.skipped == 200 - len(shot.lines) and whole(book.counts)


def test_a_rendering_that_did_not_arrive_is_not_counted() -> None:
    book = Transcript()
    book.take(batch(1, "a", "b"), 0)
    book.refused(book.shot(1000))
    assert book.counts == Counts(produced=2)
    assert shown(book, 1) == ["a", "b"] and whole(book.counts)


def test_lines_lost_on_the_way_are_skipped() -> None:
    book = Transcript()
    book.take(batch(1, "a"), 0)
    book.take(batch(11, "b"), 0)
    book.take(batch(20, "c", dropped=8), 0)
    assert shown(book, 0) == ["a", "b", "c"]
    assert book.counts == Counts(produced=20, shown=3, skipped=17)


def test_a_batch_that_comes_twice_counts_once() -> None:
    book = Transcript()
    book.take(batch(5, "a", "b"), 0)
    assert book.take(batch(5, "a", "b"), 0) == 0
    assert book.take(batch(6, "b", "c"), 0) == 1
    assert shown(book, 0) == ["a", "b", "c"] and book.counts.produced == 3


def test_a_source_that_counts_anew_is_followed() -> None:
    book = Transcript()
    book.take(batch(50, "old"), 0)
    book.take(batch(1, "new", "newer"), 0)
    assert shown(book, 0) == ["old", "new", "newer"] and book.last == 2


def test_a_flood_begins_by_backlog_and_ends_after_thirty_calm_seconds() -> None:
    book = Transcript()
    book.take(batch(1, *("x" * 90 + str(number) for number in range(200))), 0)
    assert book.look(0)
    shown(book, 0)
    file = book.cut_file()
    assert file is not None and file.lines == 200 and (file.first, file.last) == (1, 200)
    book.posted(file)
    assert whole(book.counts)
    assert book.look(29) and not book.look(31)


def test_a_flood_begins_by_rate_only_when_it_lasts() -> None:
    book = Transcript()
    for second in range(5):
        assert not book.look(second)
        book.take(batch(1 + 20 * second, *(str(20 * second + number) for number in range(20))), second)
        shown(book, second)
    assert book.look(5)


def test_a_file_names_levels_and_keeps_the_problems() -> None:
    book = Transcript()
    lines = [f"[INFO] {number}" for number in range(2000)] + ["[WARN] low memory", "[ERROR] boom", "\x1b[31mpassword=hunter22\x1b[0m"]
    book.take(batch(1, *lines), 0)
    book.look(0)
    file = book.cut_file()
    assert file is not None
    assert file.levels == {Level.INFO: 2001, Level.WARN: 1, Level.ERROR: 1}
    assert file.problems == ["[WARN] low memory", "[ERROR] boom"]
    text = "".join(file.parts)
    assert text.startswith("[INFO] 0\n") and text.endswith("password=•••\n") and "\x1b" not in text


def test_a_hundred_thousand_lines_are_all_accounted_and_memory_is_bounded() -> None:
    book, seq, now, dice = Transcript(held=500_000), 1, 0.0, random.Random(7)
    while seq <= 100_000:
        lines = [f"line {seq + number} {'x' * 80}" if dice.random() < 0.8 else "same" for number in range(100)]
        book.take(batch(seq, *lines), now)
        seq += 100
        now += 0.01
        if seq % 20_000 == 1:
            shown(book, now)
        if seq % 30_000 == 1 and (file := book.cut_file()) is not None:
            book.posted(file)
        assert book._text <= 600_000
    book.give_up()
    assert book.counts.produced == 100_000 and whole(book.counts) and book.counts.skipped and book.counts.attached


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["few", "many", "same", "gap", "shot", "fail", "file", "lose file", "keep file", "late"]), max_size=60))
def test_no_order_of_things_loses_a_line(acts: list[str]) -> None:
    book, seq, now = Transcript(held=40_000), 1, 0.0
    for act in acts:
        now += 0.7
        if act == "few":
            book.take(batch(seq, "a", "b"), now)
            seq += 2
        elif act == "many":
            book.take(batch(seq, *(f"{seq + number} {'y' * 30}" for number in range(400))), now)
            seq += 400
        elif act == "same":
            book.take(batch(seq, *["z"] * 50), now)
            seq += 50
        elif act == "gap":
            seq += 10
            book.take(batch(seq, "after the gap"), now)
            seq += 1
        elif act in ("shot", "fail", "late"):
            book.look(now)
            shot = book.shot(700)
            if act == "late":
                book.take(batch(seq, *(f"{seq + number} {'w' * 30}" for number in range(700))), now)
                seq += 700
            (book.refused if act == "fail" else book.taken)(shot)
        elif (file := book.cut_file()) is not None and act != "keep file":
            (book.posted if act == "file" else book.not_posted)(file)
        assert book.counts.pending >= 0
    book.give_up()
    assert whole(book.counts)
    assert book.counts.produced == seq - 1 or "gap" in acts


def test_what_did_not_fit_into_a_file_is_skipped() -> None:
    book = Transcript()
    book.take(batch(1, *(str(number) for number in range(100))), 0)
    file = book.cut_file()
    assert file is not None
    book.posted(file, missing=30)
    assert book.counts == Counts(produced=100, attached=70, skipped=30)


def test_a_file_too_big_for_discord_is_packed_and_then_shortened() -> None:
    dice = random.Random(3)
    plain, packed, missing = console_view._packed(["words\n"] * 1000)
    assert (plain, packed, missing) == (b"words\n" * 1000, False, 0)
    data, packed, missing = console_view._packed(["the same line again\n"] * 500_000)
    assert packed and not missing and gzip.decompress(data) == b"the same line again\n" * 500_000
    parts = [dice.randbytes(50_000).hex() + "\n" for _ in range(240)]
    data, packed, missing = console_view._packed(parts)
    assert packed and missing and len(data) <= console_view.FILE_BYTES and gzip.decompress(data).decode() == "".join(parts[missing:])


def numbered(first: int, *lines: str, dropped: int = 0, boot: str = "b") -> ConsoleBatch:
    return ConsoleBatch(first_seq=first, lines=list(lines), dropped=dropped, boot=boot)


def test_a_transcript_goes_on_after_the_line_an_earlier_one_ended_with() -> None:
    book = Transcript()
    book.prime(["before"])
    book.resume(20_000, "b")
    book.take(numbered(19_998, "x", "y", "z", "new"), 0)
    assert shown(book, 0) == ["before", "new"]
    book.take(numbered(20_005, "later"), 0)
    assert book.counts == Counts(produced=5, shown=1, skipped=3)


def test_what_comes_again_for_another_reader_is_left_out_however_old_and_with_what_was_lost_then() -> None:
    book = Transcript()
    book.take(numbered(50_000, "a", "b"), 0)
    assert book.take(numbered(7, "old", "older", dropped=6), 0) == 0
    book.take(numbered(50_002, "c"), 0)
    assert shown(book, 0) == ["a", "b", "c"]
    assert book.counts == Counts(produced=3, shown=3)


def test_numbers_of_another_count_are_no_gap_and_no_repetition() -> None:
    book = Transcript()
    book.resume(500, "b")
    book.take(numbered(3, "three", boot="c"), 0)
    book.take(numbered(9_000, "far", boot="d"), 0)
    assert shown(book, 0) == ["three", "far"]
    assert book.counts == Counts(produced=2, shown=2)


def test_only_what_was_accounted_for_is_settled() -> None:
    book = Transcript()
    book.take(numbered(1, "a", "b"), 0)
    shown(book, 0)
    book.take(numbered(3, "c"), 0)
    assert (book.settled, book.last) == (2, 3)
    shown(book, 0)
    assert book.settled == 3
    book.take(numbered(4, *(f"line {number}" for number in range(2000))), 0)
    shown(book, 0)
    assert book.flood
    assert book.settled == 3
    file = book.cut_file()
    assert file is not None
    assert book.settled == 3
    book.posted(file)
    assert book.settled == book.last == 2003

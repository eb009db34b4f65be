"""A pull of a thousand records becomes a few lines for people and one per step of a layer for programs."""

from agent.runtime.pull_progress import PullProgress


def record(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, object]:
    return {"id": layer, "status": status, "progressDetail": {"current": current, "total": total} if total else {}}


def test_a_flood_of_records_is_a_trickle_of_lines() -> None:
    progress = PullProgress("games/demo:1", 0.0)
    details, said = [], []
    for step in range(1000):
        for layer in ("aa", "bb"):
            line, words = progress.hear(record(layer, "Downloading", step * 10_000, 10_000_000), step * 0.02)
            details += [line] if line else []
            said += [words] if words else []
    assert details[0] == "aa Downloading 0 %"
    assert len(details) == 20
    assert len(said) == 3
    assert said[0].startswith("Pulling games/demo:1: 0 of 2 layers are here, ")
    assert said[0].endswith("of 20 MB loaded.")


def test_layers_that_are_here_count_and_sizes_are_added_up() -> None:
    progress = PullProgress("x:1", 0.0)
    progress.hear({"id": "1", "status": "Pulling from x"}, 0)
    progress.hear(record("aa", "Already exists"), 0)
    progress.hear(record("bb", "Downloading", 500_000, 2_000_000), 0)
    progress.hear(record("cc", "Waiting"), 0)
    assert progress.total == 2_000_000
    assert progress.summary() == "Pulling x:1: 1 of 3 layers are here, 25 % of 2 MB loaded."
    assert progress.hear(record("bb", "Pull complete"), 0) == ("bb Pull complete", "")
    assert progress.summary() == "Pulling x:1: 2 of 3 layers are here, 100 % of 2 MB loaded."


def test_extracting_is_told_apart_from_downloading() -> None:
    progress = PullProgress("x:1", 0.0)
    told = [
        progress.hear(record("aa", status, current, 100), 0)[0]
        for status, current in (("Downloading", 50), ("Downloading", 51), ("Extracting", 0), ("Extracting", 90))
    ]
    assert told == ["aa Downloading 50 %", "", "aa Extracting 0 %", "aa Extracting 90 %"]


def test_strange_records_are_borne() -> None:
    progress = PullProgress("x:1", 0.0)
    for strange in ({}, {"status": None}, {"id": 5, "status": "x", "progressDetail": None}, {"id": "a", "progressDetail": {"total": -1}}):
        progress.hear(strange, 100.0)
    assert "0 of" in progress.summary()

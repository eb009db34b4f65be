"""When a game that ended by itself is started again, and when not."""

from agent.runtime.runtime import Exit
from agent.server.crash import CrashWatch
from core.agent_settings import CrashSection


def test_a_first_crash_is_restarted_and_a_second_within_a_minute_is_not() -> None:
    watch = CrashWatch(CrashSection())
    assert watch.judge(Exit(1), 100.0, enabled=None).restart
    verdict = watch.judge(Exit(1), 130.0, enabled=None)
    assert not verdict.restart
    assert "less than 60 s ago" in verdict.words
    assert watch.judge(Exit(1), 161.0, enabled=None).restart


def test_a_crash_every_minute_does_not_loop_for_ever() -> None:
    watch = CrashWatch(CrashSection(most_restarts=3))
    assert [watch.judge(Exit(1), 61.0 * number, enabled=None).restart for number in range(5)] == [True, True, True, False, False]
    assert watch.judge(Exit(1), 2000.0, enabled=None).restart


def test_a_clean_end_counts_as_a_crash_only_where_the_node_says_so() -> None:
    assert CrashWatch(CrashSection()).judge(Exit(0), 0.0, enabled=None).restart
    assert not CrashWatch(CrashSection(detect_clean_exit_as_crash=False)).judge(Exit(0), 0.0, enabled=None).restart
    assert CrashWatch(CrashSection(detect_clean_exit_as_crash=False)).judge(Exit(0, oom_killed=True), 0.0, enabled=None).restart


def test_the_server_s_own_wish_beats_the_node_s() -> None:
    assert not CrashWatch(CrashSection(enabled=True)).judge(Exit(1), 0.0, enabled=False).restart
    assert CrashWatch(CrashSection(enabled=False)).judge(Exit(1), 0.0, enabled=True).restart


def test_running_out_of_memory_is_named() -> None:
    assert "out of memory" in CrashWatch(CrashSection()).judge(Exit(137, oom_killed=True), 0.0, enabled=None).words


def test_restarts_come_slower_and_slower() -> None:
    watch = CrashWatch(CrashSection(most_restarts=4, backoff=10, timeout=0))
    verdicts = [watch.judge(Exit(1), float(number), enabled=None) for number in range(5)]
    assert [verdict.wait for verdict in verdicts] == [0, 10, 20, 40, 0]
    assert [verdict.restarts for verdict in verdicts] == [1, 2, 3, 4, 4]


def test_a_clean_end_that_nobody_asked_for_is_no_crash_where_the_node_says_so() -> None:
    calm = CrashWatch(CrashSection(detect_clean_exit_as_crash=False))
    assert not calm.judge(Exit(0), 0.0, enabled=None).crash
    assert calm.judge(Exit(1), 0.0, enabled=None).crash
    assert calm.judge(Exit(1), 0.0, enabled=False).crash
    assert not calm.judge(Exit(0), 0.0, enabled=False).crash

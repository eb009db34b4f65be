"""When a game that ended by itself is started again, and when not."""

from agent.runtime.runtime import Exit
from agent.server.crash import CrashWatch
from core.agent_settings import CrashSection
from core.protocol.settings import CrashRules, ServerSettings


def server(enabled: bool | None, own: CrashRules | None = None) -> ServerSettings:
    return ServerSettings(uuid="u", crash_detection_enabled=enabled, aerie_crash=own)


def test_a_first_crash_is_restarted_and_a_second_within_a_minute_is_not() -> None:
    watch = CrashWatch(CrashSection())
    assert watch.judge(Exit(1), 100.0, server(None)).restart
    verdict = watch.judge(Exit(1), 130.0, server(None))
    assert not verdict.restart
    assert "less than 60 s ago" in verdict.words
    assert watch.judge(Exit(1), 161.0, server(None)).restart


def test_a_crash_every_minute_does_not_loop_for_ever() -> None:
    watch = CrashWatch(CrashSection(most_restarts=3))
    assert [watch.judge(Exit(1), 61.0 * number, server(None)).restart for number in range(5)] == [True, True, True, False, False]
    assert watch.judge(Exit(1), 2000.0, server(None)).restart


def test_a_clean_end_counts_as_a_crash_only_where_the_node_says_so() -> None:
    assert CrashWatch(CrashSection()).judge(Exit(0), 0.0, server(None)).restart
    assert not CrashWatch(CrashSection(detect_clean_exit_as_crash=False)).judge(Exit(0), 0.0, server(None)).restart
    assert CrashWatch(CrashSection(detect_clean_exit_as_crash=False)).judge(Exit(0, oom_killed=True), 0.0, server(None)).restart


def test_the_server_s_own_wish_beats_the_node_s() -> None:
    assert not CrashWatch(CrashSection(enabled=True)).judge(Exit(1), 0.0, server(False)).restart
    assert CrashWatch(CrashSection(enabled=False)).judge(Exit(1), 0.0, server(True)).restart


def test_running_out_of_memory_is_named() -> None:
    assert "out of memory" in CrashWatch(CrashSection()).judge(Exit(137, oom_killed=True), 0.0, server(None)).words


def test_restarts_come_slower_and_slower() -> None:
    watch = CrashWatch(CrashSection(most_restarts=4, backoff=10, timeout=0))
    verdicts = [watch.judge(Exit(1), float(number), server(None)) for number in range(5)]
    assert [verdict.wait for verdict in verdicts] == [0, 10, 20, 40, 0]
    assert [verdict.restarts for verdict in verdicts] == [1, 2, 3, 4, 4]


def test_a_clean_end_that_nobody_asked_for_is_no_crash_where_the_node_says_so() -> None:
    calm = CrashWatch(CrashSection(detect_clean_exit_as_crash=False))
    assert not calm.judge(Exit(0), 0.0, server(None)).crash
    assert calm.judge(Exit(1), 0.0, server(None)).crash
    assert calm.judge(Exit(1), 0.0, server(False)).crash
    assert not calm.judge(Exit(0), 0.0, server(False)).crash


def test_a_server_s_own_rules_go_before_the_node_s() -> None:
    own = server(None, CrashRules(restarts=2, window=30, backoff=5, clean_codes=[42, 143]))
    watch = CrashWatch(CrashSection())
    verdicts = [watch.judge(Exit(1), now, own) for now in (0.0, 1.0, 2.0, 40.0)]
    assert [(verdict.restart, verdict.wait) for verdict in verdicts] == [(True, 0.0), (True, 5.0), (False, 0.0), (True, 0.0)]
    calm = watch.judge(Exit(42), 41.0, own)
    assert (calm.restart, calm.crash) == (False, False)
    assert watch.judge(Exit(143, oom_killed=True), 80.0, own).restart
    assert watch.judge(Exit(0), 120.0, own).restart


def test_what_was_pardoned_does_not_count() -> None:
    watch = CrashWatch(CrashSection(most_restarts=1))
    for now in (0.0, 1.0, 2.0):
        assert watch.judge(Exit(143), now, server(None)).restart
        watch.pardon()

"""Socket folders stay short and ports stay free."""

import os
import socket
from pathlib import Path

from setup.sockets import LONGEST_PATH, ROOM, Claims, free_port, short_folder


def test_a_shallow_folder_is_kept(tmp_path: Path) -> None:
    assert short_folder(Path("/srv/aerie")) == Path("/srv/aerie")


def test_a_deep_folder_is_replaced_by_a_short_one_of_its_own(tmp_path: Path) -> None:
    one, two = (short_folder(tmp_path / ("deep" * 30) / name) for name in ("one", "two"))
    assert one != two
    assert all(len(os.fsencode(place)) + ROOM < LONGEST_PATH for place in (one, two))


def test_a_preferred_port_is_given_while_it_is_free_and_another_when_it_is_taken() -> None:
    port = free_port(udp=True)
    assert free_port(port) == port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert free_port(port) not in (0, port)


def test_a_port_taken_for_udp_alone_is_noticed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        assert free_port(taken.getsockname()[1], udp=True) != taken.getsockname()[1]


def test_a_claimed_port_is_nobody_elses_until_it_is_given_up(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine, Claims(tmp_path) as others:
        assert mine.take(8700)
        assert not others.take(8700)
        assert others.take(8701)
    with Claims(tmp_path) as others:
        assert others.take(8700)

"""Ports of the loopback interface."""

import socket

import pytest

from oryx_py.local import ports


@pytest.fixture
def taken() -> int:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_with_a_listener_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_what_is_no_port_is_not_free(port: int) -> None:
    assert not ports.is_free(port)


def test_the_first_free_wish_is_granted(taken: int) -> None:
    free = ports.choose(())
    assert ports.choose((taken, free)) == free


def test_another_port_is_found_when_no_wish_can_be_granted(taken: int) -> None:
    free = ports.choose(())
    assert ports.choose((0, taken, free), taken={free}) not in {0, taken, free}


def test_a_port_that_a_server_gets_is_none_that_a_connection_may_get_first() -> None:
    """Linux gives those from 32,768 on to connections, others from 49,152."""
    assert 1024 < ports.choose(()) < 32_768
    assert ports.choose((), taken=range(20_000, 30_000)) not in range(20_000, 30_000)

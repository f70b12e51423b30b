"""When something that one can do without is tried."""

from core.resilience.circuit_breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_failure_spares_all_others_their_try() -> None:
    """However many had begun: until the pause is over, nobody passes; then a single one does."""
    clock = Clock()
    circuit = CircuitBreaker(clock)
    assert [circuit.enter() for _ in range(5)] == [True] * 5
    for _ in range(5):
        circuit.failed()
    assert [circuit.enter() for _ in range(100)] == [False] * 100
    clock.now += FIRST_PAUSE_S
    assert circuit.passable
    assert [circuit.enter() for _ in range(100)] == [True] + [False] * 99


def test_pauses_grow_up_to_a_bound_and_begin_anew() -> None:
    """A long outage costs two tries a minute; one that follows a recovery is tried again as soon as the first."""
    clock = Clock()
    circuit = CircuitBreaker(clock)
    circuit.enter()
    circuit.failed()
    pauses = []
    for _ in range(9):
        began = clock.now
        while not circuit.enter():
            clock.now += 0.25
        pauses.append(clock.now - began)
        circuit.failed()
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    circuit.succeeded()
    assert circuit.enter()
    circuit.failed()
    clock.now += FIRST_PAUSE_S
    assert circuit.enter()

"""The run that follows a run without a result."""

from dataclasses import replace

import pytest

from consumer.sandbox.protocol import CHEAP_BYTES, Expensive, Fault
from consumer.sandbox.run_plan import (
    DecoderEnded,
    ForkServerEnded,
    NotStarted,
    Run,
    Stop,
    after_answer,
    after_end,
    after_stop,
    first_run,
)
from core.errors import CorruptImage, Crashed, DecodeLimit, TooManyPixels

BUDGET = 100 * CHEAP_BYTES
MOVED = Run(memory_bytes=CHEAP_BYTES, expensive=True)
CHARGED = Run(memory_bytes=BUDGET, expensive=True, charged=True)
AGAIN = Run(expensive=True, fresh=True)
CRASH = DecoderEnded("killed by SIGSEGV", attributable=True)
OUTSIDE_KILL = DecoderEnded("killed by SIGKILL", attributable=False)


def test_an_image_is_examined_as_a_cheap_one_if_its_body_is_small() -> None:
    """The charge of a large body is never that of a cheap image. The decoder gets it and what parsing takes."""
    assert first_run(CHEAP_BYTES, ("small",), BUDGET) == Run(renditions=("small",))
    large = BUDGET - CHEAP_BYTES
    assert first_run(large, ("small",), BUDGET) == Run(
        BUDGET, expensive=True, renditions=("small",)
    )
    assert isinstance(first_run(large + 1, (), BUDGET), TooManyPixels)


def test_an_answer_is_the_result() -> None:
    """A failure as well."""
    for answer in (CorruptImage(), Fault("ValueError")):
        assert after_answer(Run(), answer, BUDGET) is answer


@pytest.mark.parametrize(
    ("run", "charge", "expected"),
    [
        (Run(), BUDGET, CHARGED),
        (Run(), 1, Run(expensive=True, charged=True)),
        (MOVED, BUDGET, CHARGED),
        (AGAIN, BUDGET, Run(BUDGET, expensive=True, charged=True, fresh=True)),
    ],
    ids=["large", "many pixels", "after a move", "after a death"],
)
def test_an_expensive_image_gets_what_it_is_charged(run: Run, charge: int, expected: Run) -> None:
    """In the lane for expensive images, and at least what a cheap one gets."""
    assert after_answer(run, Expensive(charge), BUDGET) == expected


def test_a_charge_above_the_budget_is_refused() -> None:
    """It is never clipped."""
    assert isinstance(after_answer(Run(), Expensive(BUDGET + 1), BUDGET), TooManyPixels)


def test_a_charge_that_changes_ends_the_image() -> None:
    """The charge of a body is always the same. A hostile decoder could raise it for ever."""
    assert isinstance(after_answer(CHARGED, Expensive(BUDGET), BUDGET), Fault)


def test_too_little_memory_counts_only_in_a_fresh_decoder() -> None:
    """An earlier image may have left too little."""
    assert after_answer(Run(), DecodeLimit(), BUDGET) == AGAIN
    assert isinstance(after_answer(AGAIN, DecodeLimit(), BUDGET), DecodeLimit)


def test_a_limit_ends_an_image_and_the_limit_of_cheap_images_moves_it() -> None:
    """An image that exceeds a limit is not run again."""
    assert after_stop(Run(), Stop.CHEAP_CPU_LIMIT) == MOVED
    for run, reason in ((MOVED, Stop.CPU_LIMIT), (AGAIN, Stop.STALLED)):
        result = after_stop(run, reason)
        assert isinstance(result, DecodeLimit)
        assert result.detail == reason


def test_a_stalled_decoder_counts_only_if_it_is_fresh() -> None:
    """An earlier image may have left it in a bad state."""
    assert after_stop(Run(), Stop.STALLED) == AGAIN


def test_a_second_death_is_the_images_fault() -> None:
    """The image runs once more in a fresh decoder, and alone if memory may have been short."""
    assert after_end(Run(), CRASH) == AGAIN
    alone = Run(expensive=True, fresh=True, alone=True)
    assert after_end(Run(), OUTSIDE_KILL) == alone
    assert after_end(AGAIN, OUTSIDE_KILL) == alone
    for run, death in ((AGAIN, CRASH), (alone, CRASH), (alone, OUTSIDE_KILL)):
        assert isinstance(after_end(run, death), Crashed)


def test_the_end_of_the_fork_server_is_not_the_images_fault() -> None:
    """But an image that ends it again and again is."""
    step = AGAIN
    for _ in range(5):
        following = after_end(step, ForkServerEnded())
        assert isinstance(following, Run)
        assert (following.fresh, following.alone) == (True, False)
        step = following
    assert isinstance(after_end(step, ForkServerEnded()), Crashed)


@pytest.mark.parametrize("reason", [Stop.REPLACED, Stop.CANCELLED])
def test_an_image_is_examined_again_if_it_is_not_the_reason_of_a_stop(reason: Stop) -> None:
    assert after_stop(AGAIN, reason) == AGAIN


def test_decoders_that_end_before_they_get_the_image_are_not_its_fault() -> None:
    """Not even for an image whose first decoder died. After some of them the decoders are at fault."""
    for run in (Run(), AGAIN, replace(AGAIN, alone=True)):
        following: object = run
        for number in range(1, 6):
            assert isinstance(following, Run)
            following = after_end(following, NotStarted("exit code 1"))
            assert following == replace(run, not_started=number)
        assert isinstance(following, Run)
        with pytest.raises(NotStarted):
            after_end(following, NotStarted("exit code 1"))
        # They leave as many ends of the fork server as before.
        assert isinstance(after_end(following, ForkServerEnded()), Run)

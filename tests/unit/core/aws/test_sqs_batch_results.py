"""What the answer to a batch says of each entry."""

from core.aws.sqs import batch_outcomes
from core.batcher import Again, Done


def test_only_what_is_named_as_successful_was_taken() -> None:
    """An entry that the answer does not mention is tried again, and so is one that the receiver failed."""
    answer = {
        "Successful": [{"Id": "1"}],
        "Failed": [{"Id": "2", "Code": "InternalError", "SenderFault": False}],
    }
    kinds = [type(outcome) for outcome in batch_outcomes(answer, 3)]
    assert kinds == [Again, Done, Again]


def test_an_answer_that_says_nothing_acknowledges_nothing() -> None:
    """However successful the call was."""
    assert [type(outcome) for outcome in batch_outcomes({}, 2)] == [Again, Again]

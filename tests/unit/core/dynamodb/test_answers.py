"""A row that an answer does not have does not exist only if the answer lists the rows of its table."""

import pytest

from core.answers import MalformedAnswer
from core.dynamodb.answers import RowKey, decode_rows

READ, SKIPPED = (RowKey("requests", "requestId", value) for value in ("read", "skipped"))
UNPROCESSED = {"requests": {"Keys": [{"requestId": {"S": "skipped"}}]}}


def test_a_row_that_is_in_no_list_does_not_exist() -> None:
    answer = {"Responses": {"requests": []}, "UnprocessedKeys": UNPROCESSED}
    assert decode_rows([READ, SKIPPED], answer) == {READ: None}


def test_a_table_whose_keys_are_all_unprocessed_needs_no_list() -> None:
    assert decode_rows([SKIPPED], {"Responses": {}, "UnprocessedKeys": UNPROCESSED}) == {}


def test_a_table_with_a_key_that_was_processed_needs_a_list() -> None:
    """Otherwise a worker would delete the message of a request that exists."""
    with pytest.raises(MalformedAnswer):
        decode_rows([READ, SKIPPED], {"Responses": {}, "UnprocessedKeys": UNPROCESSED})

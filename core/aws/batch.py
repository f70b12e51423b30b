"""Batch calls of SQS and SNS. They answer 200 although single entries failed, so each entry is checked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from core.answers import MalformedAnswer, member, optional_member
from core.aws.client import call
from core.batcher import OK, Failed, ItemResult, Retry
from core.errors import DependencyUnavailable, RequestRejected

MAX_BATCH = 10
"""Entries in one batch call of SQS or SNS (AWS limit)."""
MAX_BATCH_BYTES = 256 * 1_024
"""Bytes of all entries in one batch call: the limit of SNS and of the emulators of SQS. SQS itself allows 1 MiB."""

_IDS = tuple(str(number) for number in range(MAX_BATCH))
_REJECTED = frozenset(
    {"InvalidMessageContents", "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid"}
)


Entry = Mapping[str, Any]
"""An entry of a batch without its Id."""
Invoke = Callable[[list[dict[str, Any]]], Awaitable[Any]]
"""Makes the call with numbered entries and returns its answer."""


def text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@dataclass(frozen=True, slots=True)
class EntryError:
    """Why the service did not take one entry of a batch. `sender_fault`: the same entry will fail again."""

    code: str
    message: str = ""
    sender_fault: bool = False

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


_NO_RESULT = EntryError("NoResult", "the answer does not name the entry")


async def call_batch(
    operation: str, invoke: Invoke, entries: Sequence[Entry]
) -> list[EntryError | None]:
    """Make one batch call with `entries`, at most MAX_BATCH, and return each entry's error or None, in order.

    Raises DependencyUnavailable or RequestRejected if the call fails as a whole.
    """
    ids = _IDS[: len(entries)]
    numbered = [{"Id": number, **entry} for number, entry in zip(ids, entries, strict=True)]
    return await call(operation, invoke(numbered), partial(_decode_batch, ids))


def _decode_batch(ids: Sequence[str], answer: Mapping[str, Any]) -> list[EntryError | None]:
    """Return the error of each entry or None, in order. The services may leave out an empty list.

    An entry that the answer does not name has an error: only entries named as successful were taken.
    """
    taken = optional_member(answer, "Successful", list, [])
    refused = optional_member(answer, "Failed", list, [])
    if not taken and not refused:
        raise MalformedAnswer("no entry is named")
    results: dict[str, EntryError | None] = {entry["Id"]: None for entry in taken}
    for entry in refused:
        results[entry["Id"]] = _error(entry)
    if len(results) != len(taken) + len(refused) or not results.keys() <= set(ids):
        raise MalformedAnswer("an entry that was not sent, or twice the same entry")
    return [results.get(number, _NO_RESULT) for number in ids]


def _error(entry: Mapping[str, Any]) -> EntryError:
    return EntryError(
        member(entry, "Code", str),
        optional_member(entry, "Message", str, ""),
        member(entry, "SenderFault", bool),
    )


def item_result(error: EntryError | None) -> ItemResult[None]:
    """Translate an entry's result for a Batcher.

    Throttling and internal errors are retried. Faulty content rejects the entry. Any other fault of the sender, such
    as a missing permission, is an outage.
    """
    if error is None:
        return OK
    if error.code in _REJECTED:
        return Failed(RequestRejected("batch entry", error.code, error.message))
    if error.sender_fault:
        return Failed(DependencyUnavailable(str(error)))
    return Retry(str(error))


def batch_commit(
    operation: str,
    invoke: Invoke,
    result: Callable[[EntryError | None], ItemResult[None]] = item_result,
) -> Callable[[Sequence[Entry]], Awaitable[list[ItemResult[None]]]]:
    """Return a Batcher's `commit`, for items that are entries. `result` replaces `item_result`."""

    async def commit(entries: Sequence[Entry]) -> list[ItemResult[None]]:
        return [result(error) for error in await call_batch(operation, invoke, entries)]

    return commit

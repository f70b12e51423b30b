"""Alias operations at the end of a rebuild: which index is read, and which takes writes.

Each has a short timeout, so that a cancelled rebuild ends soon.
"""

from collections.abc import Sequence
from typing import Any

from core.errors import SearchUnavailable
from core.search.opensearch.answers import decode_acknowledged, decode_aliases, decode_block
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.errors import SearchRejected

TIMEOUT_S = 10.0
"""The operations only change names, or wait for writes in flight."""
_NOT_FOUND = 404


async def indexes_of(client: OpenSearchClient, alias: str) -> list[str]:
    """Return the indexes behind an alias: one, unless an operator put the alias on several."""
    indexes = await client.call(
        "rebuild",
        lambda opensearch: opensearch.indices.get_alias(name=alias),
        decode_aliases,
        seconds=TIMEOUT_S,
    )
    return sorted(indexes)


async def block_writes(client: OpenSearchClient, indexes: Sequence[str]) -> None:
    """Block writes to the indexes, and return once no write is in flight. Blocked indexes stay blocked."""
    unblocked = await client.call(
        "rebuild",
        lambda opensearch: opensearch.indices.add_block(index=",".join(indexes), block="write"),
        decode_block,
        seconds=TIMEOUT_S,
    )
    if unblocked:
        raise SearchUnavailable(f"rebuild: writes to {', '.join(unblocked)} cannot be blocked")


async def unblock_writes(client: OpenSearchClient, indexes: Sequence[str]) -> None:
    await client.call(
        "rebuild",
        lambda opensearch: opensearch.indices.put_settings(
            index=",".join(indexes),
            body={"index": {"blocks": {"write": None}}},
            params={"ignore_unavailable": "true", "allow_no_indices": "true"},
        ),
        decode_acknowledged,
        seconds=TIMEOUT_S,
    )


async def swap_alias(
    client: OpenSearchClient, alias: str, old: Sequence[str], new: str, own_alias: str
) -> None:
    """Move an alias from the old indexes to the new one, and remove the new one's own alias.

    Raises SearchRejected if the alias was not moved. After any other SearchUnavailable it may have been, or may yet be.
    """
    actions: list[dict[str, Any]] = [{"remove": {"index": index, "alias": alias}} for index in old]
    # If `abort_swap` has removed the own alias, the swap must fail.
    actions.append({"remove": {"index": new, "alias": own_alias, "must_exist": True}})
    actions.append({"add": {"index": new, "alias": alias, "is_write_index": True}})
    await client.call(
        "rebuild",
        lambda opensearch: opensearch.indices.update_aliases(body={"actions": actions}),
        decode_acknowledged,
        seconds=TIMEOUT_S,
    )


async def abort_swap(client: OpenSearchClient, new: str, own_alias: str) -> bool:
    """Return True if the swap will now never happen, and False if it has happened. Raises SearchUnavailable."""
    actions = [{"remove": {"index": new, "alias": own_alias}}]
    try:
        await client.call(
            "rebuild",
            lambda opensearch: opensearch.indices.update_aliases(body={"actions": actions}),
            decode_acknowledged,
            seconds=TIMEOUT_S,
        )
    except SearchRejected as rejection:
        if rejection.status == _NOT_FOUND:
            return False
        raise
    return True

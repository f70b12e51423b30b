"""Which index is read, and which takes writes. Each step is short, so that nobody who ends a rebuild waits long."""

from collections.abc import Sequence
from typing import Any

from opensearchpy import AsyncOpenSearch

from core.errors import SearchUnavailable
from core.search.opensearch.client import Link, SearchRefused

DECISION_S = 10.0
"""The longest that one of them may take. Only names are moved, or writes waited for that are under way."""
_GONE = 404


async def behind(link: Link, alias: str) -> list[str]:
    """The indexes of an alias: one, but where somebody has put it before several."""

    async def ask(client: AsyncOpenSearch) -> list[str]:
        return sorted(await client.indices.get_alias(name=alias))

    return await link.call("rebuild", ask, seconds=DECISION_S)


async def close(link: Link, indexes: Sequence[str]) -> None:
    """Let nobody write to them; returns once nobody does. Those that are closed already stay so."""

    async def ask(client: AsyncOpenSearch) -> bool:
        told = await client.indices.add_block(index=",".join(indexes), block="write")
        return bool(told["acknowledged"]) and all(each["blocked"] for each in told["indices"])

    if not await link.call("rebuild", ask, seconds=DECISION_S):
        raise SearchUnavailable(f"rebuild: {', '.join(indexes)} cannot be closed to writes")


async def open_again(link: Link, indexes: Sequence[str]) -> None:
    """Let everybody write to them."""
    await link.call(
        "rebuild",
        lambda client: client.indices.put_settings(
            index=",".join(indexes),
            body={"index": {"blocks": {"write": None}}},
            params={"ignore_unavailable": "true", "allow_no_indices": "true"},
        ),
        seconds=DECISION_S,
    )


async def swap(link: Link, alias: str, old: Sequence[str], new: str, own_alias: str) -> None:
    """Move an alias to the new index, which loses its own.

    Raises SearchRefused where it stays where it is, and otherwise SearchUnavailable: it may have been moved, or yet be.
    """
    actions: list[dict[str, Any]] = [{"remove": {"index": index, "alias": alias}} for index in old]
    # It must be there: whoever takes it away has called the swap off.
    actions.append({"remove": {"index": new, "alias": own_alias, "must_exist": True}})
    actions.append({"add": {"index": new, "alias": alias, "is_write_index": True}})
    await link.call(
        "rebuild",
        lambda client: client.indices.update_aliases(body={"actions": actions}),
        seconds=DECISION_S,
    )


async def called_off(link: Link, new: str, own_alias: str) -> bool:
    """Whether the swap will never happen; else it has. Raises SearchUnavailable where nobody knows."""
    actions = [{"remove": {"index": new, "alias": own_alias}}]
    try:
        await link.call(
            "rebuild",
            lambda client: client.indices.update_aliases(body={"actions": actions}),
            seconds=DECISION_S,
        )
    except SearchRefused as refused:
        if refused.status == _GONE:
            return False
        raise
    return True

"""`python -m consumer redrive`: reopen FAILED requests out of the dead-letter queue and process them again.

Each is reopened (FAILED → PENDING, one revision up), sent, and only then deleted from the dead letters. Cut short at
any point, a second redrive does the rest: where it finds the request PENDING at the next revision, it only sends again.
"""

import argparse
import json
import sys

import structlog

from consumer.assembly import Stores, open_stores
from consumer.dead_queue import DeadQueue, Letter
from consumer.outcome import DeadLetter
from consumer.settings import ConsumerSettings
from core.clock import now_ms
from core.message import ImageMessage
from core.request import State, next_revision
from core.tables import ConditionNotMet

_log = structlog.get_logger()


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("redrive", help="process FAILED requests again")
    parser.add_argument("--failure-code", help="only those that failed with this code")


async def run(settings: ConsumerSettings, arguments: argparse.Namespace) -> int:
    reopened = 0
    async with open_stores(settings) as stores:
        queue = DeadQueue(stores.aws.sqs, settings.dead_letter_queue_url)
        async for letter in queue.letters():
            dead = _decode(letter)
            if dead is None or arguments.failure_code not in (None, dead.failure_code):
                continue
            reopened += await redrive(stores, dead)
            await queue.delete(letter)
    sys.stdout.write(f"{reopened} requests reopened\n")
    return 0


async def redrive(stores: Stores, dead: DeadLetter) -> bool:
    """Reopen one request; False where it has moved on since, and there is nothing to do."""
    pending_since = now_ms()
    try:
        await stores.tables.reopen(dead.request_id, dead.revision, now=pending_since)
    except ConditionNotMet:
        request = await stores.tables.read_request(dead.request_id)
        reopened_before = (
            request is not None
            and request.state is State.PENDING
            and request.revision == next_revision(dead.revision)
        )
        if not reopened_before:
            return False
        pending_since = 0
    message = ImageMessage(
        request_id=dead.request_id,
        customer_id=dead.customer_id,
        url=dead.url,
        revision=next_revision(dead.revision),
        resent=True,
        pending_since=pending_since,
    )
    await stores.sender.send(message.encode())
    return True


def _decode(letter: Letter) -> DeadLetter | None:
    try:
        return DeadLetter(**json.loads(letter.body))
    except (ValueError, TypeError):
        _log.exception("left in the dead-letter queue", body=letter.body[:200])
        return None

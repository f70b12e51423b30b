"""The writes to both tables, as PartiQL: one conditional statement each, so that many share a call.

Identifiers are double-quoted, because `status` is a reserved word. Conditions are in the WHERE clause. If they do not
hold, that statement alone fails with ConditionalCheckFailed; an INSERT of an existing key fails with DuplicateItem.
"""

from dataclasses import dataclass
from functools import lru_cache

from core.dynamodb import schema
from core.dynamodb.schema import Attribute, number, string
from core.model.image import ImageRecord
from core.model.request import Failure, ImageRequest, State, customer_shard, next_revision


@dataclass(frozen=True, slots=True)
class Statement:
    """`key` is the row's table and key. Two statements with the same key never share a batch.

    `customer_id` is for fair shares of the batches only.
    """

    key: tuple[str, str]
    text: str
    parameters: tuple[Attribute, ...]
    customer_id: str


@dataclass(frozen=True, slots=True)
class Statements:
    """Makes the statements for one pair of tables. `shards` is the number of shards of the index by customer."""

    requests_table: str
    images_table: str
    shards: int = 8
    retention_s: int = 0
    """Seconds from a request's end until its row expires; 0 keeps it for ever."""

    def insert_request(self, request: ImageRequest) -> Statement:
        """Insert the row if the id is new: a PartiQL INSERT never replaces an item."""
        item = schema.new_request_item(request, shards=self.shards)
        return _insert(self.requests_table, request.request_id, item, request.customer_id)

    def insert_image(self, record: ImageRecord) -> Statement:
        item = schema.image_item(record)
        return _insert(self.images_table, record.image_id, item, record.customer_id)

    def complete(
        self, request_id: str, revision: int, *, customer_id: str, image_id: str, now: int
    ) -> Statement:
        """Make a request that is PENDING at `revision` COMPLETED at the next. Requires the customer of the image.

        A message may outlive its request's row; it must not end a later request with the same id.
        """
        changes = {
            schema.STATUS: string(State.COMPLETED),
            schema.REVISION: number(next_revision(revision)),
            schema.UPDATED_AT: number(now),
            schema.IMAGE_ID: string(image_id),
        }
        return self._end(request_id, revision, customer_id, changes, now)

    def fail(
        self, request_id: str, revision: int, *, customer_id: str, failure: Failure, now: int
    ) -> Statement:
        """Make a request FAILED, as `complete` does. Its row enters the index of failures."""
        changes = {
            schema.STATUS: string(State.FAILED),
            schema.REVISION: number(next_revision(revision)),
            schema.UPDATED_AT: number(now),
            schema.FAILURE_SHARD: string(customer_shard(customer_id, request_id, self.shards)),
            schema.FAILURE_CODE: string(failure.code),
            schema.FAILURE_MESSAGE: string(failure.message),
            schema.FAILURE_ATTEMPTS: number(failure.attempts),
        }
        return self._end(request_id, revision, customer_id, changes, now)

    def keep_failed(self, request: ImageRequest) -> Statement:
        """Remove the expiry of a FAILED row. Requires that it is FAILED at the revision that was read."""
        conditions = {
            schema.REQUEST_ID: string(request.request_id),
            schema.STATUS: string(State.FAILED),
            schema.REVISION: number(request.revision),
            schema.CUSTOMER_ID: string(request.customer_id),
        }
        where = _where(tuple(conditions))
        text = f'UPDATE "{self.requests_table}" REMOVE "{schema.EXPIRES_AT}" {where}'
        key = (self.requests_table, request.request_id)
        return Statement(key, text, tuple(conditions.values()), request.customer_id)

    def count_death(self, request: ImageRequest, run_id: str) -> Statement:
        """Count the death of a process that was decoding the image alone. Requires the count that was read.

        If the condition fails, the caller reads the row again: with `run_id` in it, the death is counted.
        """
        counted = request.run_ids[-request.retry_count :] if request.retry_count else ()
        return self._update(
            request.request_id,
            request.revision,
            {
                schema.RETRY_COUNT: number(request.retry_count + 1),
                schema.RUN_ID: string(",".join((*counted, run_id))),
            },
            customer_id=request.customer_id,
            where={schema.RETRY_COUNT: number(request.retry_count)},
        )

    def touch(self, request: ImageRequest, *, now: int) -> Statement:
        """Record that the request's message is alive, so that reconcile does not take the request over."""
        return self._update(
            request.request_id,
            request.revision,
            {schema.UPDATED_AT: number(now), schema.CLAIMS: number(0)},
            customer_id=request.customer_id,
            where={schema.UPDATED_AT: number(request.updated_at)},
        )

    def claim(self, request: ImageRequest, *, now: int) -> Statement:
        """Let reconcile take over a request. Requires that no write has touched the row since it was read."""
        return self._update(
            request.request_id,
            request.revision,
            {schema.CLAIMS: number(request.claims + 1), schema.UPDATED_AT: number(now)},
            customer_id=request.customer_id,
            where={schema.UPDATED_AT: number(request.updated_at)},
        )

    def _end(
        self,
        request_id: str,
        revision: int,
        customer_id: str,
        changes: dict[str, Attribute],
        now: int,
    ) -> Statement:
        if self.retention_s:
            changes[schema.EXPIRES_AT] = number(now // 1000 + self.retention_s)
        where = {schema.CUSTOMER_ID: string(customer_id)}
        return self._update(request_id, revision, changes, customer_id=customer_id, where=where)

    def _update(
        self,
        request_id: str,
        revision: int,
        changes: dict[str, Attribute],
        *,
        customer_id: str,
        where: dict[str, Attribute],
    ) -> Statement:
        """Change a row that is PENDING at `revision`."""
        conditions = {
            schema.REQUEST_ID: string(request_id),
            schema.STATUS: string(State.PENDING),
            schema.REVISION: number(revision),
            **where,
        }
        text = _update_text(self.requests_table, tuple(changes), tuple(conditions))
        parameters = (*changes.values(), *conditions.values())
        return Statement((self.requests_table, request_id), text, parameters, customer_id)


def _insert(table: str, key: str, item: schema.Item, customer_id: str) -> Statement:
    text = _insert_text(table, tuple(item))
    return Statement((table, key), text, tuple(item.values()), customer_id)


@lru_cache(maxsize=64)
def _insert_text(table: str, names: tuple[str, ...]) -> str:
    values = ", ".join(f"'{name}': ?" for name in names)
    return f'INSERT INTO "{table}" VALUE {{{values}}}'


@lru_cache(maxsize=64)
def _update_text(table: str, changed: tuple[str, ...], required: tuple[str, ...]) -> str:
    sets = ", ".join(f'"{name}"=?' for name in changed)
    return f'UPDATE "{table}" SET {sets} {_where(required)}'  # noqa: S608  a setting, not input


def _where(required: tuple[str, ...]) -> str:
    return "WHERE " + " AND ".join(f'"{name}"=?' for name in required)

"""The tables: conditional writes, batched calls, indexes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiobotocore.session import get_session
from types_aiobotocore_dynamodb import DynamoDBClient

from cli.local.stack import StackOutputs
from core.dynamodb.tables import ConditionNotMet, StatusSnapshot, Tables
from core.model.image import image_id_of
from core.model.request import Failure, ImageRequest, State, customer_shard, new_request
from harness.aws import RecordingAws
from harness.outcomes import complete, fail, image_record
from harness.tables import tables_of

FAILURE = Failure("NOT_FOUND", "There is nothing at this URL", 1)


@pytest_asyncio.fixture
async def dynamodb(embedded_aws: RecordingAws) -> AsyncIterator[DynamoDBClient]:
    async with get_session().create_client("dynamodb", **embedded_aws.sdk()) as client:
        yield client


async def inserted(tables: Tables, customer_id: str = "acme") -> ImageRequest:
    request = new_request(
        request_id=str(uuid.uuid4()),
        customer_id=customer_id,
        url="https://a.example/ü?q=1",
        labels={"order": "7", "empty": ""},
        now=1_000,
    )
    await tables.write(tables.statements.insert_request(request))
    return request


async def indexed(
    dynamodb: DynamoDBClient, stack: StackOutputs, index: str, attribute: str, shard: str
) -> list[dict[str, Any]]:
    """Return the items of one partition of an index."""
    answer = await dynamodb.query(
        TableName=stack.requests_table,
        IndexName=index,
        KeyConditionExpression=f"{attribute} = :shard",
        ExpressionAttributeValues={":shard": {"S": shard}},
    )
    return answer["Items"]


async def test_a_request_is_read_as_it_was_written(tables: Tables) -> None:
    """All fields are equal."""
    request = await inserted(tables)
    assert await tables.read_request(request.request_id) == request
    assert await tables.read_request(str(uuid.uuid4())) is None


async def test_an_image_is_read_as_it_was_written(tables: Tables) -> None:
    """Including empty fields, which are not stored."""
    record = image_record(str(uuid.uuid4()))
    await tables.write(tables.statements.insert_image(record))
    assert await tables.read_image(record.request_id) == record
    with pytest.raises(ConditionNotMet):
        await tables.write(tables.statements.insert_image(record))


async def test_an_id_is_inserted_once(tables: Tables) -> None:
    """Of concurrent inserts one succeeds; the others raise ConditionNotMet."""
    request = await inserted(tables)
    insert = tables.statements.insert_request(request)
    answers = await asyncio.gather(
        *(tables.write(insert) for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [ConditionNotMet] * 5


async def test_one_rejected_write_does_not_affect_the_batch(tables: Tables) -> None:
    """Statements share a call, but each has its own result."""
    existing = await inserted(tables)
    fresh = [
        new_request(
            request_id=str(uuid.uuid4()), customer_id="acme", url="u", labels={}, now=number
        )
        for number in range(60)
    ]
    answers = await asyncio.gather(
        *(tables.write(tables.statements.insert_request(each)) for each in [*fresh, existing]),
        return_exceptions=True,
    )
    assert answers[:60] == [None] * 60
    assert isinstance(answers[60], ConditionNotMet)
    read = await asyncio.gather(*(tables.read_request(each.request_id) for each in fresh))
    assert read == fresh


async def test_of_two_terminal_writes_one_succeeds(tables: Tables) -> None:
    """A terminal write requires PENDING at the message's revision, so a late one changes nothing."""
    request = await inserted(tables)
    await complete(tables, request.request_id)
    with pytest.raises(ConditionNotMet):
        await fail(tables, request.request_id)
    read = await tables.read_request(request.request_id)
    assert read is not None
    assert (read.state, read.revision, read.failure) == (State.COMPLETED, 2, None)
    assert read.image_id == image_id_of(request.request_id)


async def test_a_terminal_write_from_before_a_reopen_fails(tables: Tables) -> None:
    """A worker that was suspended meanwhile has no effect."""
    request = await inserted(tables)
    await fail(tables, request.request_id)
    await tables.reopen(request.request_id, 2, now=3_000)
    with pytest.raises(ConditionNotMet):
        await complete(tables, request.request_id, revision=1)
    await fail(tables, request.request_id, revision=3)
    read = await tables.read_request(request.request_id)
    assert read is not None
    assert (read.state, read.revision) == (State.FAILED, 4)


async def test_only_a_failed_request_is_reopened(tables: Tables) -> None:
    """A reopen requires FAILED at the revision that was read."""
    request = await inserted(tables)
    with pytest.raises(ConditionNotMet):
        await tables.reopen(request.request_id, 1, now=2_000)
    await fail(tables, request.request_id)
    with pytest.raises(ConditionNotMet):
        await tables.reopen(request.request_id, 1, now=2_000)
    await tables.reopen(request.request_id, 2, now=2_000)
    read = await tables.read_request(request.request_id)
    assert read is not None
    assert (read.state, read.revision, read.failure, read.retry_count) == (
        State.PENDING,
        3,
        None,
        0,
    )


@pytest.mark.parametrize("other", [{"customer_id": "other"}, {"url": "http://origin/other.png"}])
async def test_a_reopen_requires_the_customer_and_url_of_the_failure(
    tables: Tables, other: dict[str, str]
) -> None:
    """A record of a failure may outlive its row. Another request with the id may have FAILED at that revision."""
    request = await inserted(tables)
    await fail(tables, request.request_id)
    own = {"customer_id": request.customer_id, "url": request.origin_url}
    with pytest.raises(ConditionNotMet):
        await tables.reopen(request.request_id, 2, now=2_000, **{**own, **other})
    await tables.reopen(request.request_id, 2, now=2_000, **own)
    read = await tables.read_request(request.request_id)
    assert read is not None
    assert read.state is State.PENDING


async def test_the_index_of_failures_has_failed_requests_only(
    tables: Tables, dynamodb: DynamoDBClient, server_stack: StackOutputs
) -> None:
    """A request is in the index exactly while it is FAILED."""
    customer = f"customer-{uuid.uuid4()}"
    request = await inserted(tables, customer)
    shard = customer_shard(customer, request.request_id, 8)

    async def found() -> list[str]:
        items = await indexed(dynamodb, server_stack, "byFailure", "failureShard", shard)
        return [item["requestId"]["S"] for item in items]

    assert await found() == []
    await tables.write(
        tables.statements.fail(
            request.request_id, 1, customer_id=customer, failure=FAILURE, now=2_000
        )
    )
    assert await found() == [request.request_id]
    await tables.reopen(request.request_id, 2, now=3_000)
    assert await found() == []


async def test_a_customers_requests_are_spread_over_shards(
    tables: Tables, dynamodb: DynamoDBClient, server_stack: StackOutputs
) -> None:
    """The index by customer has each request in the shard of its id."""
    customer = f"customer-{uuid.uuid4()}"
    requests = [await inserted(tables, customer) for _ in range(12)]
    ids = set()
    for number in range(8):
        items = await indexed(
            dynamodb, server_stack, "byCustomer", "customerShard", f"{customer}#{number}"
        )
        ids |= {item["requestId"]["S"] for item in items}
    assert ids == {request.request_id for request in requests}


async def test_deaths_are_counted_one_after_another(tables: Tables) -> None:
    """Of two workers that read the same count, one writes. The other reads again, and the row has both ids then."""
    request = await inserted(tables)
    counts = [tables.statements.count_death(request, run_id) for run_id in ("one", "two")]
    answers = await asyncio.gather(*map(tables.write, counts), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["ConditionNotMet", "NoneType"]
    read = await tables.read_request(request.request_id)
    assert read is not None
    assert (read.state, read.revision, read.retry_count) == (State.PENDING, 1, 1)
    (first,) = read.run_ids
    second = "two" if first == "one" else "one"
    await tables.write(tables.statements.count_death(read, second))
    again = await tables.read_request(request.request_id)
    assert again is not None
    assert (again.retry_count, again.run_ids) == (2, (first, second))


async def test_a_claim_needs_an_untouched_request(tables: Tables) -> None:
    """Reconcile takes over a request only if no write has touched it since it was read."""
    request = await inserted(tables)
    claim = tables.statements.claim(request, now=5_000)
    await tables.write(claim)
    with pytest.raises(ConditionNotMet):
        await tables.write(claim)
    read = await tables.read_request(request.request_id)
    assert read is not None
    assert (read.claims, read.updated_at, read.revision) == (1, 5_000, 1)


async def test_statuses_have_state_and_revision(tables: Tables) -> None:
    """Unknown ids are left out."""
    pending, completed = await inserted(tables), await inserted(tables)
    await complete(tables, completed.request_id)
    unknown = str(uuid.uuid4())
    assert await tables.read_statuses([pending.request_id, completed.request_id, unknown]) == {
        pending.request_id: StatusSnapshot(State.PENDING, 1),
        completed.request_id: StatusSnapshot(State.COMPLETED, 2),
    }


async def test_a_row_expires_only_after_its_end(
    dynamodb: DynamoDBClient, embedded_aws: RecordingAws, server_stack: StackOutputs
) -> None:
    """With a retention, a terminal row has its time of expiry in seconds; a PENDING row never has one."""
    async with tables_of(
        embedded_aws.environment("tests"), server_stack, retention_s=86_400
    ) as tables:
        request = await inserted(tables)
        key = {"requestId": {"S": request.request_id}}

        async def expiry() -> object:
            answer = await dynamodb.get_item(TableName=server_stack.requests_table, Key=key)
            return answer["Item"].get("expiresAt")

        assert await expiry() is None
        await tables.write(
            tables.statements.fail(
                request.request_id, 1, customer_id="acme", failure=FAILURE, now=10_000_000
            )
        )
        assert await expiry() == {"N": str(10_000 + 86_400)}
        await tables.reopen(request.request_id, 2, now=20_000_000)
        assert await expiry() is None

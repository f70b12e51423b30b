"""The AWS of a simulation, at the boundary of the system's HTTP client: one attempt of one call, with its faults.

Everything above SignedClient.send is the system's own: signing is left out, but encoding, retries, time limits and the
decoding of answers run.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import fields
from typing import Any, cast
from unittest.mock import patch
from urllib.parse import parse_qs

import aiohttp
import orjson
from multidict import CIMultiDict

from core.aws.client import Aws
from core.aws.http import AwsHttpClients, JsonService, Publisher
from core.aws.http.client import Limits, SignedClient
from core.aws.http.connection import Response
from core.aws.http.s3 import ObjectStore
from robustness.simulation.dynamodb import ConditionFailed, EntryFault, Invalid, SimulatedDynamoDb
from robustness.simulation.loop import PROCESS, Process, SimulatedLoop
from robustness.simulation.plan import Effect, Fault, Plan
from robustness.simulation.sqs import SimulatedQueue

READ_TIMEOUT_S = Limits().read_timeout
_LATENCY_S = (0.002, 0.08)
_PREFIXES = {
    "dynamodb": "DynamoDB_20120810",
    "sqs": "AmazonSQS",
    "cloudwatch": "GraniteServiceVersion20100801",
}
_SILENCE_S = 3_600.0
"""An answer that never comes: every caller gives up before."""

Members = Mapping[str, Any]


class SimulatedAws:
    """All services, for all processes. Faults end with `heal`. `on_error` gets the errors of the simulation itself."""

    def __init__(
        self,
        plan: Plan,
        loop: SimulatedLoop,
        dynamodb: SimulatedDynamoDb,
        queues: Mapping[str, SimulatedQueue],
        *,
        on_kill: Callable[[Process], None],
        on_publish: Callable[[Members], None],
        on_call: Callable[[str], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.dynamodb = dynamodb
        self.queues = queues
        self.objects: set[str] = set()
        self.closed = False
        self._plan = plan
        self._loop = loop
        self._rng = random.Random(plan.seed)
        self._on_kill = on_kill
        self._on_publish = on_publish
        self._on_call = on_call
        self._on_error = on_error
        self._calls: Counter[str] = Counter()
        self._faults = list(plan.faults)
        self._healed = False

    def heal(self) -> None:
        """End all faults."""
        self._healed = True

    def fault_of(self, service: str, operation: str) -> Fault | None:
        """Count a call, and return the first fault of the plan that hits it."""
        number = self._calls[operation]
        self._calls[operation] += 1
        if self._healed:
            return None
        for fault in self._faults:
            if fault.operation == operation and fault.first <= number < fault.first + fault.times:
                return fault
        now = self._loop.time()
        for outage in self._plan.outages:
            if outage.service == service and outage.begins <= now < outage.begins + outage.seconds:
                return Fault(operation, number, Effect.ERROR)
        return None

    async def serve(
        self, process: Process | None, service: str, operation: str, members: Members
    ) -> Response | Exception:
        """Execute one attempt with its fault. Return the response, or the error of the connection."""
        fault = self.fault_of(service, operation)
        name = process.name if process is not None else "caller"
        self._on_call(f"{name}: {operation}{f' [{fault.effect.name}]' if fault else ''}")
        await self._delay()
        refusal = None if fault is None else await self._before(fault, process, operation)
        if refusal is not None:
            return refusal
        try:
            response = await self._execute(service, operation, members, fault)
        except Exception as error:  # noqa: BLE001  the caller may not report it
            self._on_error(error)
            return aiohttp.ServerDisconnectedError()
        instead = None if fault is None else await self._after(fault, process)
        if instead is not None:
            return instead
        await self._delay()
        return response

    async def _before(
        self, fault: Fault, process: Process | None, operation: str
    ) -> Response | Exception | None:
        """Apply a fault before the call has its effect. Return the answer if it has none."""
        match fault.effect:
            case Effect.ERROR:
                return _error(operation, 500, "InternalServerError")
            case Effect.KILL_BEFORE:
                self._kill(process)
                return await self._never_answer()
            case Effect.PAUSE_BEFORE:
                await self._pause(process, fault.seconds)
            case Effect.LATE:
                await asyncio.sleep(READ_TIMEOUT_S + fault.seconds)
        return None

    async def _after(self, fault: Fault, process: Process | None) -> Response | Exception | None:
        """Apply a fault after the call has had its effect. Return the answer that replaces the response."""
        match fault.effect:
            case Effect.EMPTY:
                return _ok({})
            case Effect.LOST:
                return aiohttp.ServerDisconnectedError()
            case Effect.LATE:
                return await self._never_answer()
            case Effect.KILL_AFTER:
                self._kill(process)
                return await self._never_answer()
            case Effect.PAUSE_AFTER:
                await self._pause(process, fault.seconds)
        return None

    async def _delay(self) -> None:
        await asyncio.sleep(self._rng.uniform(*_LATENCY_S))

    async def _never_answer(self) -> Exception:
        await asyncio.sleep(_SILENCE_S)
        return aiohttp.ServerDisconnectedError()

    def _kill(self, process: Process | None) -> None:
        if process is not None and not process.killed:
            self._loop.stop_process(process, kill=True)
            self._on_kill(process)

    async def _pause(self, process: Process | None, seconds: float) -> None:
        """Stop a process, and let it continue later. The call itself goes on."""
        if process is not None and not process.stopped:
            self._loop.pause_process(process, seconds)
        await asyncio.sleep(0)

    async def _execute(
        self, service: str, operation: str, members: Members, fault: Fault | None
    ) -> Response:
        if service == "s3":
            self.objects.add(members["path"])
            return Response(200, CIMultiDict(ETag='"1"'), b"")
        if service == "dynamodb":
            return self._execute_dynamodb(operation, members, fault)
        if service == "cloudwatch":
            return self._measure_queue(members)
        if operation == "PublishBatch":
            return self._publish(members["entries"], fault)
        return await self._execute_sqs(operation, members, fault)

    def _execute_dynamodb(self, operation: str, members: Members, fault: Fault | None) -> Response:
        try:
            return _ok(self.dynamodb.invoke(operation, members, _entry_faults(fault)))
        except Invalid as error:
            return _error(operation, 400, "ValidationException", str(error))
        except ConditionFailed:
            return _error(operation, 400, "ConditionalCheckFailedException")

    async def _execute_sqs(self, operation: str, members: Members, fault: Fault | None) -> Response:
        queue = self.queues[members["QueueUrl"]]
        if operation == "ReceiveMessage":
            return _ok({"Messages": await self._receive(queue, members, fault)})
        if operation == "GetQueueAttributes":
            found = queue.attributes()
            names = [name for name in members["AttributeNames"] if name in found]
            return _ok({"Attributes": {name: found[name] for name in names}})

        def apply(entry: Members) -> str | None:
            match operation:
                case "SendMessageBatch":
                    queue.send(entry["MessageBody"], delay=entry.get("DelaySeconds", 0))
                case "DeleteMessageBatch":
                    if fault is None or fault.effect is not Effect.DUPLICATE:
                        queue.delete(entry["ReceiptHandle"])
                case "ChangeMessageVisibilityBatch":
                    return queue.change_visibility(
                        entry["ReceiptHandle"], entry["VisibilityTimeout"]
                    )
                case _:
                    raise AssertionError(f"the simulation has no sqs:{operation}")
            return None

        return _ok(_apply_entries(members["Entries"], fault, apply))

    async def _receive(
        self, queue: SimulatedQueue, members: Members, fault: Fault | None
    ) -> list[dict[str, Any]]:
        """Return messages as soon as there are some, or nothing after the wait."""
        until = self._loop.time() + members["WaitTimeSeconds"]
        while True:
            received = queue.receive(
                members["MaxNumberOfMessages"],
                visibility_timeout=members.get("VisibilityTimeout"),
                duplicate=fault is not None and fault.effect is Effect.DUPLICATE,
            )
            if received or self._loop.time() >= until:
                return received
            await queue.wait_for_change(until - self._loop.time())

    def _publish(self, entries: list[Members], fault: Fault | None) -> Response:
        def apply(entry: Members) -> None:
            self._on_publish(entry)

        answer = _apply_entries(entries, fault, apply)
        return Response(200, CIMultiDict(), _publish_result(answer).encode())

    def _measure_queue(self, members: Members) -> Response:
        """Return the age of the oldest message of a queue, exactly."""
        (query,) = members["MetricDataQueries"]
        (dimension,) = query["MetricStat"]["Metric"]["Dimensions"]
        (queue,) = [each for each in self.queues.values() if each.name == dimension["Value"]]
        age = queue.oldest_age_s()
        return _ok({"MetricDataResults": [{"Values": [] if age is None else [age]}]})

    def client(self, service: str) -> SignedClient:
        return cast("SignedClient", SimulatedClient(self, self._loop, service))


class SimulatedClient:
    """Stands for SignedClient."""

    def __init__(self, aws: SimulatedAws, loop: SimulatedLoop, service: str) -> None:
        self.service = service
        self._aws = aws
        self._loop = loop

    async def send(
        self,
        _method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: bytes,
        payload_sha256: str,  # noqa: ARG002  the arguments of SignedClient.send
        wait: float = 0,
        fresh: bool = False,  # noqa: ARG002
    ) -> Response:
        if self._aws.closed:
            raise asyncio.CancelledError
        operation, members = _decode(self.service, path, headers, body)
        serving = self._aws.serve(PROCESS.get(), self.service, operation, members)
        # AWS goes on if the caller is killed, paused or out of patience.
        answer = self._loop.create_task(serving, context=Context())
        try:
            async with asyncio.timeout(READ_TIMEOUT_S + wait):
                response = await asyncio.shield(answer)
        except TimeoutError as error:
            raise aiohttp.ServerTimeoutError from error
        if isinstance(response, Exception):
            raise response
        return response


def _decode(
    service: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, dict[str, Any]]:
    if service == "s3":
        return "PutObject", {"path": path}
    if service == "sns":
        return "PublishBatch", {"entries": _publish_entries(body)}
    return headers["x-amz-target"].partition(".")[2], orjson.loads(body)


def _publish_entries(body: bytes) -> list[dict[str, Any]]:
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    prefix = "PublishBatchRequestEntries.member."
    count = len({name.split(".")[2] for name in form if name.startswith(prefix)})
    return [
        {part: form[f"{prefix}{number}.{part}"] for part in ("Id", "Message")}
        for number in range(1, count + 1)
    ]


def _publish_result(answer: Mapping[str, list[dict[str, Any]]]) -> str:
    def members(name: str) -> str:
        return "".join(
            "<member>"
            + "".join(
                f"<{key}>{str(value).lower() if isinstance(value, bool) else value}</{key}>"
                for key, value in entry.items()
            )
            + "</member>"
            for entry in answer[name]
        )

    return (
        "<R><PublishBatchResult>"
        f"<Successful>{members('Successful')}</Successful><Failed>{members('Failed')}</Failed>"
        "</PublishBatchResult></R>"
    )


def _entry_faults(fault: Fault | None) -> dict[int, EntryFault]:
    if fault is None or fault.effect not in (Effect.ENTRIES_FAIL, Effect.ENTRIES_LOST):
        return {}
    kind: EntryFault = "not applied" if fault.effect is Effect.ENTRIES_FAIL else "applied"
    return {position: kind for position in range(100) if fault.mask >> position & 1}


def _apply_entries(
    entries: list[Any], fault: Fault | None, apply: Callable[[Members], str | None]
) -> dict[str, list[dict[str, Any]]]:
    """Apply the entries of a batch of SQS or SNS; return its answer. `apply` returns the code of an error."""
    faults = _entry_faults(fault)
    answer: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
    for position, entry in enumerate(entries):
        injected = faults.get(position)
        code = None if injected == "not applied" else apply(entry)
        if injected is not None:
            answer["Failed"].append(
                {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
            )
        elif code is not None:
            answer["Failed"].append({"Id": entry["Id"], "Code": code, "SenderFault": True})
        else:
            answer["Successful"].append({"Id": entry["Id"]})
    return answer


def _ok(members: Mapping[str, Any]) -> Response:
    return Response(200, CIMultiDict(), orjson.dumps(members))


def _error(operation: str, status: int, code: str, message: str = "") -> Response:
    if operation in ("PutObject", "PublishBatch"):
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    else:
        body = orjson.dumps({"__type": code, "message": message})
    return Response(status, CIMultiDict(), body)


def clients(aws: SimulatedAws) -> Aws:
    """Return the clients of one process."""
    json = {
        name: JsonService(aws.client(name), "/", prefix=prefix, version="1.0")
        for name, prefix in _PREFIXES.items()
    }
    http = AwsHttpClients(
        **json,
        sns=Publisher(aws.client("sns"), "/", version="2010-03-31"),
        bucket=lambda name: ObjectStore(aws.client("s3"), f"/{name}/"),
    )
    absent: Any = None  # The system calls nothing through the SDK.
    return Aws(
        http=http,
        **dict.fromkeys((each.name for each in fields(Aws) if each.name != "http"), absent),
    )


@contextmanager
def replace_aws(aws: SimulatedAws) -> Iterator[None]:
    """Make the consumer's programs open clients of the simulated AWS."""

    @asynccontextmanager
    async def open_aws() -> AsyncIterator[Aws]:
        yield clients(aws)

    with patch("consumer.clients.open_aws", open_aws):
        yield

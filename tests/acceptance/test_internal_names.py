"""Names of private addresses, through the whole system: a customer cannot tell them from names that do not exist."""

import asyncio
import json
import tempfile
from typing import Any

from google.protobuf.json_format import MessageToDict

from harness.aws import RecordingAws
from harness.raw_origin import raw_origin, respond
from harness.stores import Stores, stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

OWN = {"request_id", "requestId", "notificationId", "url", "createTime", "updateTime"}
"""Members that differ between any two requests."""


def redirect(url: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_a_private_name_looks_like_a_missing_one(embedded_aws: RecordingAws) -> None:
    """In the status, the list, the notification and the failed-requests queue, directly and by a redirect.

    `localhost` is the name of a private address: this system only allows 127.0.0.2. The log tells the two apart.
    """
    with tempfile.TemporaryFile() as log:
        async with (
            system(embedded_aws) as running,
            stores_of(running) as stores,
            raw_origin(respond(redirect("http://localhost/a.jpg")), "127.0.0.2") as private,
            raw_origin(respond(redirect("http://missing.invalid/a.jpg")), "127.0.0.2") as missing,
        ):
            await running.start_server()
            urls = ["http://localhost/a.jpg", "http://missing.invalid/a.jpg"]
            urls += [f"http://127.0.0.2:{each.port}/" for each in (private, missing)]
            ids = [await running.submit(url) for url in 5 * urls]
            settings = {
                "ALLOWED_NETWORKS": "127.0.0.2/32",
                "LOG_LEVEL": "info",
                "LOG_FORMAT": "json",
            }
            # The system's resolver repeats a lost query after 5 s, when the attempt is over.
            settings["RES_OPTIONS"] = "timeout:1 attempts:3"
            await running.start("consumer", settings, log=log)
            seen = await seen_by_customer(running, stores, ids)
            await running.stop()
            assert len({json.dumps(each, sort_keys=True) for each in seen}) == 1, seen
            assert seen[0]["status"]["failure"]["code"] == "FAILURE_CODE_DNS_FAILED"
            assert seen[0]["status"]["failure"]["attempts"] == 3
            assert private.connections == missing.connections == 15
        log.seek(0)
        text = (await asyncio.to_thread(log.read)).decode()
        lines = [json.loads(line) for line in text.splitlines() if "request ended" in line]
        details = {line["request_id"]: line.get("detail", "") for line in lines}
        loopback = "127.0.0.0/8 is blocked: loopback (RFC 1122)"
        assert [details[each] for each in ids] == 10 * [loopback, ""]


async def seen_by_customer(
    running: System, stores: Stores, ids: list[str]
) -> list[dict[str, dict[str, Any]]]:
    """Return all that a customer sees of each failed request, without what is its own."""
    states = await running.wait_terminal(ids)
    notified = await stores.notifications(f"{each}:2" for each in ids)
    records = await stores.failed_requests(len(ids))
    async with running.stub() as stub:
        listed = await stub.ListRequests(
            pb.ListRequestsRequest(customer_id="acme", state=pb.STATE_FAILED), timeout=30
        )
    sources = {
        "status": [MessageToDict(each) for each in states.values()],
        "list": [MessageToDict(each) for each in listed.requests],
        "notification": [each.sent for each in notified],
        "failed request": records,
    }
    seen: dict[str, dict[str, dict[str, Any]]] = {each: {} for each in ids}
    for source, members in sources.items():
        for each in members:
            request_id = each.get("requestId") or each["request_id"]
            seen[request_id][source] = {
                name: value for name, value in each.items() if name not in OWN
            }
    return [seen[each] for each in ids]

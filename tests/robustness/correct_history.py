"""A correct history of two requests, and the events of which it is made."""

from dataclasses import replace
from typing import Any

from robustness.history import (
    Event,
    FailedRequestStored,
    ImageRead,
    ImageStored,
    Notified,
    ObjectRead,
    ObjectSeen,
    Observed,
    Planned,
    ProcessChanged,
    Refused,
    RowStored,
    RunStarted,
    StreamEnded,
    Submitted,
    Walked,
    WatchEnded,
)

DONE, GONE = "done", "gone"
"""The ids of the correct history: a COMPLETED request and a FAILED one."""
URL, OTHER = "http://origin/ok/1", "http://origin/ok/2"
SHA = "a" * 64
IMAGE, PUBLIC = "image-1", "http://cdn/images/1.png"


def planned(request_id: str, content: int = 0, **members: Any) -> Planned:
    base = Planned(request_id, content, "acme", URL, {}, "ok", SHA)
    return replace(base, **members)


def submitted(request_id: str, began: float, **members: Any) -> Submitted:
    base = Submitted(began, began + 0.1, request_id, 0, "SubmitImage", "server0", "OK")
    return replace(base, **members)


def accepted(request_id: str, began: float = 1.0, **members: Any) -> Submitted:
    return submitted(request_id, began, **{"state": "PENDING", "revision": 1, **members})


def pending(request_id: str, began: float, **members: Any) -> Observed:
    base = Observed(began, began + 0.1, request_id, 0, "acme", URL, "PENDING", 1)
    return replace(base, **members)


def completed(began: float, **members: Any) -> Observed:
    state = pending(DONE, began, state="COMPLETED", revision=2, image_id=IMAGE, public_url=PUBLIC)
    return replace(state, **{"sha256": SHA, "source_sha256": SHA, **members})


def failed(began: float, **members: Any) -> Observed:
    return pending(
        GONE, began, **{"state": "FAILED", "revision": 2, "failure": "NOT_FOUND", **members}
    )


def notified(request_id: str, at: float, revision: int = 2, **body: Any) -> Notified:
    status = "COMPLETED" if request_id == DONE else "FAILED"
    result: dict[str, Any] = {"imageId": IMAGE, "publicUrl": PUBLIC}
    if request_id == GONE:
        result = {"failure": {"code": "NOT_FOUND"}}
    content: dict[str, Any] = {
        "requestId": request_id,
        "customerId": "acme",
        "url": URL,
        "status": status,
    }
    content |= {"revision": revision, **result, **body}
    attributes = {"customerId": "acme", "requestId": request_id, "revision": str(revision)}
    attributes["status"] = content["status"]
    return Notified(at, f"{request_id}:{revision}", request_id, revision, content, attributes)


def refused(began: float, rpc: str, code: str, *ids: str, **members: Any) -> Refused:
    return replace(Refused(began, began + 0.1, rpc, "server0", code, ids=ids), **members)


def object_read(**members: Any) -> ObjectRead:
    base = ObjectRead(30, DONE, PUBLIC, 200, SHA, 9, "image/png", SHA, 9, "image/png")
    return replace(base, **members)


def correct() -> list[Event]:
    """Return the history of a run without a violation."""
    return [
        RunStarted(0, "smoke", 1, {}),
        ProcessChanged(0, "server0", "started"),
        ProcessChanged(0.5, "server0", "ready"),
        planned(DONE),
        planned(DONE, 1, url=OTHER),
        planned(GONE, behaviour="missing"),
        accepted(DONE),
        Submitted(2, 2.1, DONE, 1, "SubmitImage", "server0", "ALREADY_EXISTS", "REQUEST_ID_REUSED"),
        accepted(GONE),
        pending(DONE, 2.5, watch=1),
        completed(3, watch=1),
        failed(3, watch=1),
        WatchEnded(2.4, 3.2, 1, "server0", (DONE, GONE)),
        StreamEnded(1, 1.2, "server0", "OK", ("1", "2"), ("2", "1")),
        notified(DONE, 3.5),
        notified(DONE, 3.7),
        notified(GONE, 3.5),
        Walked(5, 5.1, "requests", "acme", (DONE, GONE)),
        Walked(5, 5.1, "images", "acme", (DONE,)),
        ObjectSeen(4, "images/1.png", "1", 9),
        RowStored(20, DONE, "COMPLETED", 2),
        RowStored(20, GONE, "FAILED", 2),
        ImageStored(20, IMAGE, DONE),
        completed(21, final=True),
        failed(21, final=True),
        Walked(22, 22.1, "requests", "acme", (GONE, DONE), final=True),
        Walked(22, 22.1, "failed", "acme", (GONE,), final=True),
        Walked(22, 22.1, "images", "acme", (DONE,), final=True),
        Walked(22, 22.1, "search", "acme", (DONE,), final=True),
        ImageRead(23, 23.1, IMAGE, DONE, found=True, final=True),
        object_read(),
        FailedRequestStored(31, GONE, 2, "NOT_FOUND"),
    ]

"""Messages between this version and the last release, which run side by side during a rollout.

The release ignores members that it does not know, and so drops them when it sends a message again. It refuses a message
without one of its own members that has no default, or with one of another type.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, make_dataclass, replace
from typing import Any

import pytest

from consumer.notify.outcome import FailedRequestMessage, decode_failed_request_message
from core.model.message import ImageMessage, decode_members, decode_message

SAMPLES: Mapping[Any, Any] = {str: "2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11", int: 7, bool: True}
"""By type, a value that is no default. The text is an id, because one member must be."""


@dataclass(frozen=True, slots=True)
class Message:
    """`released` has the members of release 0.2.0 with their types, `defaults` those that may be left out.

    Replace them when a version is released.
    """

    kind: type[Any]
    decode: Any
    released: Mapping[str, type]
    defaults: Mapping[str, object]

    @property
    def added(self) -> set[str]:
        return {field.name for field in fields(self.kind)} - self.released.keys()

    def full(self) -> Any:
        """Return a message whose members all differ from their defaults."""
        return self.kind(**{field.name: SAMPLES[field.type] for field in fields(self.kind)})

    def sent_again_by_the_release(self, body: str) -> str:
        """Return what the release sends after it has decoded this message."""
        required = [each for each in self.released.items() if each[0] not in self.defaults]
        optional = [(name, type(value), value) for name, value in self.defaults.items()]
        released = make_dataclass(self.kind.__name__, [*required, *optional], frozen=True)
        return json.dumps(asdict(decode_members(released, body)))


MESSAGES = [
    Message(
        ImageMessage,
        decode_message,
        {
            "request_id": str,
            "customer_id": str,
            "url": str,
            "revision": int,
            "attempts": int,
            "resent": bool,
            "suspect": bool,
            "pending_since": int,
        },
        {"attempts": 0, "resent": False, "suspect": False, "pending_since": 0},
    ),
    Message(
        FailedRequestMessage,
        decode_failed_request_message,
        {
            "request_id": str,
            "customer_id": str,
            "url": str,
            "revision": int,
            "failure_code": str,
            "failure_message": str,
        },
        {},
    ),
]
each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.kind.__name__)


@each_message
def test_every_member_is_a_plain_value(message: Message) -> None:
    """The decoder compares types exactly, which no other type allows."""
    assert {field.type for field in fields(message.kind)} <= SAMPLES.keys()


@each_message
def test_the_members_of_the_release_are_there_with_their_types(message: Message) -> None:
    """Otherwise the release would leave the message to the redrive policy."""
    types = {field.name: field.type for field in fields(message.kind)}
    assert message.released.items() <= types.items()


@each_message
def test_every_member_that_the_release_does_not_have_has_a_default(message: Message) -> None:
    """The default is a value of the member's type, so that the message encodes and decodes."""
    for field in fields(message.kind):
        if field.name in message.added:
            assert field.default is not MISSING, field.name
            assert type(field.default) is field.type, field.name


@each_message
def test_a_message_survives_the_release(message: Message) -> None:
    """The release decodes it and sends it again. Only the added members are lost, and have their defaults."""
    full = message.full()
    decoded = message.decode(message.sent_again_by_the_release(full.encode()))
    lost = {field.name: field.default for field in fields(full) if field.name in message.added}
    assert asdict(decoded) == asdict(full) | lost


@each_message
def test_a_member_that_is_left_out_has_the_same_default_in_the_release(message: Message) -> None:
    """A message is sent without the members that have their defaults."""
    full = message.full()
    defaults = {each.name: each.default for each in fields(full) if each.default is not MISSING}
    plain = replace(full, **defaults)
    assert json.loads(plain.encode()).keys().isdisjoint(defaults)
    assert message.decode(message.sent_again_by_the_release(plain.encode())) == plain

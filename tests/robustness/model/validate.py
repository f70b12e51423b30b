"""The model: checks each promise of the contract against a history."""

from collections.abc import Callable, Iterable, Iterator

from robustness.history import Event
from robustness.model import calls, images, lists, notifications, requests
from robustness.model.record import Record, Recorded, Violation, index

RECORD_RULES: tuple[Callable[[Record, Recorded], Iterator[Violation]], ...] = (
    requests.is_durable,
    requests.ends,
    requests.has_one_content,
    requests.stays_found,
    requests.never_goes_back,
    requests.is_stable,
    requests.stays_completed,
    requests.has_right_verdict,
    requests.was_read_at_the_end,
    requests.answers_agree,
    notifications.is_notified,
    notifications.repeats_are_identical,
    notifications.notification_agrees,
    notifications.failure_has_a_record,
    images.has_one_image,
    images.shows_no_other_image,
    images.object_is_published,
)
"""Rules about one id. The name of a rule is that of its function, and its docstring is the promise."""
HISTORY_RULES: tuple[Callable[[Recorded], Iterator[Violation]], ...] = (
    images.objects_never_change,
    lists.lists_have_no_repeats,
    lists.lists_are_complete,
    lists.lists_are_right,
    lists.lists_show_no_other_image,
    lists.watches_rise,
    lists.streams_are_complete,
    calls.errors_have_details,
    calls.outage_is_unavailable,
    calls.recovers_soon,
)
"""Rules about the whole history."""


def validate(recorded: Recorded) -> list[Violation]:
    """Return all violations, in the order of the rules."""
    found: list[Violation] = []
    for rule in RECORD_RULES:
        for record in recorded.all_records():
            found += rule(record, recorded)
    for history_rule in HISTORY_RULES:
        found += history_rule(recorded)
    return found


def violations(events: Iterable[Event]) -> list[Violation]:
    return validate(index(events))

"""The memory that a consumer needs with its settings. tests/integration/test_decoder_memory.py measures the figures."""

from consumer.sandbox.protocol import CHEAP_BYTES
from consumer.sandbox.restrictions.limits import SLACK_BYTES
from consumer.settings import MIB, ConsumerSettings
from consumer.worker.app import rendition_budget_bytes

PROCESS_BYTES = 125 * MIB
"""Resident memory of the worker without bodies and images."""
FORK_SERVER_BYTES = 50 * MIB
"""The fork server, and what the decoders share with it."""
DECODER_BYTES = 4 * MIB
"""A decoder's own memory before its first image. What images leave in it is within its slack."""


def needed_bytes(settings: ConsumerSettings) -> int:
    """Return the most that a worker with these settings takes.

    One decoder has an image that takes the whole budget, and each of the others a cheap image, which needs no budget.
    """
    decoders = settings.decoders * (DECODER_BYTES + SLACK_BYTES)
    cheap = (settings.decoders - 1) * CHEAP_BYTES
    budgets = settings.body_budget_bytes + settings.decode_budget_bytes
    if settings.presets:
        budgets += rendition_budget_bytes(settings)
    return PROCESS_BYTES + FORK_SERVER_BYTES + decoders + cheap + budgets

"""The worker checks what a decoder says of renditions."""

from typing import Any

import pytest

from consumer.imaging.result import FailedRendition, MadeRendition
from consumer.sandbox.rendition_results import decode_results, encode_result
from core.answers import MalformedAnswer, decode_answer
from core.model.rendition import RenditionPreset
from harness.images import gradient_image

PRESETS = {
    "one": RenditionPreset(64, 48, "contain", "PNG", 80),
    "two": RenditionPreset(64, 48, "contain", "PNG", 80),
}
BODY = gradient_image("PNG", (64, 48))
SIZE = len(BODY)


def decoded(listed: Any, data: bytes, names: tuple[str, ...] = ("one", "two")) -> Any:
    return decode_answer(
        lambda answer: decode_results(answer, memoryview(data), names, PRESETS), listed
    )


def test_results_survive_the_round_trip() -> None:
    results = (MadeRendition("one", BODY, 64, 48), FailedRendition("two", "INTERNAL", "No."))
    assert decoded([encode_result(each) for each in results], BODY) == results


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [[64, 48, SIZE]],
        [[64, 48, SIZE], [64, 48, SIZE], [64, 48, SIZE]],
        {"one": [64, 48, SIZE], "two": [64, 48, SIZE]},
        [[64, 48, SIZE], [64, 48, SIZE + 1]],
        [[64, 48, SIZE], [64, 48, SIZE - 1]],
        [[64, 48, SIZE], [64, 48, 0]],
        [[65, 48, SIZE], [64, 48, SIZE]],
        [[64, 49, SIZE], [64, 48, SIZE]],
        [[64, -1, SIZE], [64, 48, SIZE]],
        [[True, 48, SIZE], [64, 48, SIZE]],
        [[64, 48, SIZE], ["INTERNAL", "the bytes of a rendition are left"]],
        [["NO_SUCH_CODE", ""], ["INTERNAL", ""]],
        [["INTERNAL", "\x1b[31m"], ["INTERNAL", ""]],
        [["INTERNAL", "x" * 501], ["INTERNAL", ""]],
        [None, ["INTERNAL", ""]],
        [7, ["INTERNAL", ""]],
        "ab",
    ],
)
def test_other_results_are_malformed(listed: Any) -> None:
    with pytest.raises(MalformedAnswer):
        decoded(listed, BODY + BODY)


def test_the_bytes_begin_as_the_format_of_the_preset_does() -> None:
    for body in (gradient_image("JPEG", (64, 48)), b"<svg onload=alert(1)>", b"\0" * 30):
        with pytest.raises(MalformedAnswer):
            decoded([[64, 48, len(body)]], body, ("one",))

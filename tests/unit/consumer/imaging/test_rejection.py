from typing import Literal

import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import LocationNotRemovable
from harness.located_images import NOT_REMOVABLE


@pytest.mark.parametrize("body", NOT_REMOVABLE.values(), ids=NOT_REMOVABLE.keys())
@pytest.mark.parametrize("mode", ["draft", "header"])
def test_a_location_that_cannot_be_removed_fails_the_image(
    body: bytes, mode: Literal["draft", "header"]
) -> None:
    """A location in a place that cannot be blanked is LOCATION_NOT_REMOVABLE under every verification."""
    with pytest.raises(LocationNotRemovable):
        inspect(body, ImagePolicy(verification=mode))

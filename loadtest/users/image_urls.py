"""The URLs that a run submits: templates in which {n} stands for the image's number."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

GENERATED = "/generated/{n}.jpg"
"""What `loadtest.origin` serves under every number: a small JPEG of its own bytes."""

NOBODY = "http://origin.invalid"
"""Never resolves (RFC 2606), so that a run without an origin asks nobody for pictures."""


class BadTemplate(ValueError):
    """A URL template that nobody can fetch from."""


@dataclass(frozen=True, slots=True)
class ImageUrls:
    """Image `n` has the `n`th template, counted round. Several templates mix formats or sizes."""

    templates: tuple[str, ...]

    @classmethod
    def of(cls, origin: str, templates: Sequence[str]) -> Self:
        """Templates that begin with a slash are paths of `origin`, without which they lead to nobody.

        Raises BadTemplate for what is neither a path nor an http or https URL.
        """
        base = _checked(origin, "--origin").rstrip("/") if origin else NOBODY
        return cls(
            tuple(
                base + template if template.startswith("/") else _checked(template, "--image-url")
                for template in templates or (GENERATED,)
            )
        )

    @property
    def lead_nowhere(self) -> bool:
        return any(template.startswith(NOBODY) for template in self.templates)

    def of_number(self, number: int) -> str:
        return self.templates[number % len(self.templates)].replace("{n}", str(number))


def _checked(url: str, option: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise BadTemplate(f"{option} {url}: not an http or https URL")
    return url


class ImageNumbers:
    """Numbers that no other process of the run takes: of `processes`, this one is the `index`th."""

    def __init__(self, index: int, processes: int) -> None:
        self._numbers = count(index, processes)

    def take(self) -> int:
        return next(self._numbers)

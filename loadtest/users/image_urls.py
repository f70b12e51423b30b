"""The submitted URLs: templates in which {n} is the number of the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

GENERATED = "/generated/{n}.jpg"
"""A path of `loadtest.origin` that serves a small JPEG with distinct bytes for each number."""

UNRESOLVABLE = "http://origin.invalid"
"""Never resolves (RFC 2606), so that a run without an origin fetches from no host."""


class BadTemplate(ValueError):
    """A URL template that is neither a path nor an http or https URL."""


@dataclass(frozen=True, slots=True)
class ImageUrls:
    """Image `n` uses template `n` modulo their number. Several templates mix formats or sizes."""

    templates: tuple[str, ...]

    @classmethod
    def of(cls, origin: str, templates: Sequence[str]) -> Self:
        """Resolve templates that begin with a slash against `origin`, or against an unresolvable host without one.

        Raises BadTemplate.
        """
        base = _checked(origin, "--origin").rstrip("/") if origin else UNRESOLVABLE
        return cls(
            tuple(
                base + template if template.startswith("/") else _checked(template, "--image-url")
                for template in templates or (GENERATED,)
            )
        )

    @property
    def unresolvable(self) -> bool:
        return any(template.startswith(UNRESOLVABLE) for template in self.templates)

    def of_number(self, number: int) -> str:
        return self.templates[number % len(self.templates)].replace("{n}", str(number))


def _checked(url: str, option: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise BadTemplate(f"{option} {url}: not an http or https URL")
    return url


class ImageNumbers:
    """Image numbers of process `index` of `processes`. No two processes of a run use the same number."""

    def __init__(self, index: int, processes: int) -> None:
        self._numbers = count(index, processes)

    def take(self) -> int:
        return next(self._numbers)

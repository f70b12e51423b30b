"""Our options beside locust's own, on the command line and on its page."""

import math
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from loadtest.users.image_urls import GENERATED, BadTemplate, ImageUrls

if TYPE_CHECKING:
    # Locust patches the whole process when it is imported.
    from locust.env import Environment

LARGEST_WATCH = 100
"""The contract's limit of ids in one watch."""


class BadOption(ValueError):
    """One line for the person who gave it."""


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` 0 is a closed loop, `requests` 0 sets no limit; times are in seconds."""

    urls: ImageUrls
    customers: int
    rate: float
    requests: int
    bulk_window: int
    bulk_images: int
    watch_ids: int
    call_timeout: float
    watch_timeout: float
    connections: int
    report: str

    @classmethod
    def of(cls, given: Namespace) -> Self:
        """Raises BadOption. The page's form passes by the command line's parser, so all is looked at here."""
        for name in ("customers", "bulk_window", "bulk_images", "watch_ids", "connections"):
            _at_least(given, name, 1)
        for name in ("rate", "requests"):
            _at_least(given, name, 0)
        for name in ("call_timeout", "watch_timeout"):
            _at_least(given, name, 0.001)
        if given.watch_ids > LARGEST_WATCH:
            raise BadOption(f"--watch-ids {given.watch_ids}: one watch has at most {LARGEST_WATCH}")
        try:
            urls = ImageUrls.of(given.origin, given.image_url.split())
        except BadTemplate as error:
            raise BadOption(str(error)) from None
        names = cls.__dataclass_fields__.keys() - {"urls", "report"}
        fields: dict[str, Any] = {name: getattr(given, name) for name in names}
        return cls(urls=urls, report=given.report, **fields)


def given_options(environment: "Environment") -> Namespace:
    """What was given to locust."""
    if not isinstance(environment.parsed_options, Namespace):
        raise TypeError("this locustfile is for the locust command")
    return environment.parsed_options


def _at_least(given: Namespace, name: str, least: float) -> None:
    value = getattr(given, name)
    if not (math.isfinite(value) and value >= least):
        raise BadOption(f"--{name.replace('_', '-')} {value}: at least {least}")


def add_options(parser: ArgumentParser) -> None:
    """Locust asks for this before it reads the command line; its page shows the same options."""
    for add in (_add_images, _add_load, _add_streams, _add_ends):
        add(parser)


def _add_images(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--origin",
        default="",
        metavar="URL",
        help="Who serves the pictures, as http://127.0.0.1:PORT of `python -m loadtest.origin`. "
        "Without one all URLs lead to a name that never resolves: submits are real, images fail.",
    )
    parser.add_argument(
        "--image-url",
        default="",
        metavar="TEMPLATES",
        help="Paths of --origin or whole URLs, separated by blanks, taken in turn; {n} stands for "
        f"the image's number. Default: {GENERATED}",
    )
    parser.add_argument(
        "--customers", type=int, default=100, help="Over how many customers images are spread."
    )


def _add_load(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="Open loop: calls (images, in bulk) a second of all users together, who are then the "
        "most that are under way. 0 is a closed loop: each user calls again once it is answered.",
    )
    parser.add_argument(
        "--requests", type=int, default=0, help="End after so many calls. 0 sets no limit."
    )
    parser.add_argument(
        "--connections", type=int, default=4, help="Connections that a locust process opens."
    )


def _add_streams(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bulk-window",
        type=int,
        default=64,
        help="Images of a bulk stream that may be without an answer.",
    )
    parser.add_argument(
        "--bulk-images", type=int, default=1_000, help="Images of a bulk stream, then a new one."
    )
    parser.add_argument(
        "--watch-ids", type=int, default=10, help="Images that a watch submits and follows."
    )


def _add_ends(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--call-timeout", type=float, default=30.0, help="Seconds for an answer to a call."
    )
    parser.add_argument(
        "--watch-timeout", type=float, default=120.0, help="Seconds in which watched images end."
    )
    parser.add_argument(
        "--report",
        default="",
        metavar="FOLDER",
        help="Folder for locust.json, written at the end of a run.",
    )

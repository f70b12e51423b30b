"""Our options in addition to those of locust, on the command line and on its web page."""

import math
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from loadtest.users.image_urls import GENERATED, BadTemplate, ImageUrls

if TYPE_CHECKING:
    # Importing locust patches the whole process.
    from locust.env import Environment

MAX_WATCHED = 100
"""Ids per WatchRequest, the limit of the contract."""


class BadOption(ValueError):
    """An invalid option. The message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Options:
    """A `rate` of 0 is a closed loop, `requests` of 0 sets no limit; times are in seconds."""

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
        """Validate the options. Raises BadOption.

        The web page of locust bypasses the command line parser, so all checks are here.
        """
        for name in ("customers", "bulk_window", "bulk_images", "watch_ids", "connections"):
            _require_at_least(given, name, 1)
        for name in ("rate", "requests"):
            _require_at_least(given, name, 0)
        for name in ("call_timeout", "watch_timeout"):
            _require_at_least(given, name, 0.001)
        if given.watch_ids > MAX_WATCHED:
            raise BadOption(f"--watch-ids {given.watch_ids}: one watch has at most {MAX_WATCHED}")
        try:
            urls = ImageUrls.of(given.origin, given.image_url.split())
        except BadTemplate as error:
            raise BadOption(str(error)) from None
        names = cls.__dataclass_fields__.keys() - {"urls", "report"}
        fields: dict[str, Any] = {name: getattr(given, name) for name in names}
        return cls(urls=urls, report=given.report, **fields)


def given_options(environment: "Environment") -> Namespace:
    """Return the options given to locust."""
    if not isinstance(environment.parsed_options, Namespace):
        raise TypeError("this locustfile requires the locust command")
    return environment.parsed_options


def _require_at_least(given: Namespace, name: str, least: float) -> None:
    value = getattr(given, name)
    if not (math.isfinite(value) and value >= least):
        raise BadOption(f"--{name.replace('_', '-')} {value}: at least {least}")


def add_options(parser: ArgumentParser) -> None:
    """Add the options. Locust calls this before it parses the command line, and for its web page."""
    for add in (_add_images, _add_load, _add_streams, _add_limits):
        add(parser)


def _add_images(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--origin",
        default="",
        metavar="URL",
        help="The origin of the images, such as http://127.0.0.1:PORT of `python -m loadtest.origin`. "
        "Without one, all URLs have a host that never resolves: submits are real, images fail.",
    )
    parser.add_argument(
        "--image-url",
        default="",
        metavar="TEMPLATES",
        help="Paths of --origin or complete URLs, separated by blanks, used in turn; {n} is the "
        f"number of the image. Default: {GENERATED}",
    )
    parser.add_argument("--customers", type=int, default=100, help="Number of customers.")


def _add_load(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="Open loop: calls (images, in bulk) per second of all users together; --users limits the "
        "calls in flight. 0 is a closed loop: each user calls again after its response.",
    )
    parser.add_argument(
        "--requests",
        type=int,
        default=0,
        help="Number of calls, then the run ends. 0 sets no limit.",
    )
    parser.add_argument(
        "--connections", type=int, default=4, help="Connections per locust process."
    )


def _add_streams(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bulk-window",
        type=int,
        default=64,
        help="Maximum of images of a stream that wait for a result.",
    )
    parser.add_argument("--bulk-images", type=int, default=1_000, help="Images per bulk stream.")
    parser.add_argument(
        "--watch-ids", type=int, default=10, help="Images that a watch submits and watches."
    )


def _add_limits(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--call-timeout", type=float, default=30.0, help="Timeout of a call in seconds."
    )
    parser.add_argument(
        "--watch-timeout", type=float, default=120.0, help="Timeout of a watch in seconds."
    )
    parser.add_argument(
        "--report",
        default="",
        metavar="FOLDER",
        help="Folder for locust.json, written at the end of a run.",
    )

"""The undocumented parts of aiohttp that we use are in the installed release, and in one module."""

import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from core.aiohttp_internals import (
    TESTED_RELEASE,
    HandlerConnector,
    PayloadErrorHandler,
    request_to,
)

ROOT = Path(__file__).parents[3]
PRODUCT = ("core", "consumer", "server", "cli")
UNDOCUMENTED = re.compile(
    r"from aiohttp\.(?!abc\b|web\b)|import aiohttp\.|connector\.connect\(|ClientRequest\(|\b_factory\b"
)


def test_the_installed_release_is_the_tested_one() -> None:
    """Another release may have moved what this project uses: read it, then change both."""
    assert version("aiohttp").startswith(f"{TESTED_RELEASE}.")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major, minor = map(int, TESTED_RELEASE.split("."))
    assert f"aiohttp>={TESTED_RELEASE},<{major}.{minor + 1}" in project["dependencies"]


async def handler_of(handler: type[PayloadErrorHandler]) -> ResponseHandler:
    async with HandlerConnector(handler) as connector:
        return connector._factory()


async def test_a_connector_makes_the_handler_that_it_is_given() -> None:
    """aiohttp itself sets the attribute to its own handler."""

    class Handler(PayloadErrorHandler):
        pass

    async with aiohttp.TCPConnector() as plain:
        assert isinstance(plain._factory(), ResponseHandler)
    assert isinstance(await handler_of(Handler), Handler)


def test_a_connector_calls_its_factory_for_each_connection() -> None:
    """Else another attribute chooses the handler."""
    assert "self._factory" in inspect.getsource(aiohttp.TCPConnector._create_direct_connection)


async def test_a_handler_has_the_attributes_that_are_read() -> None:
    """Set by aiohttp's constructor, before any byte has come."""
    handler = await handler_of(PayloadErrorHandler)
    assert (handler._payload, handler._parser, handler.transport) == (None, None, None)
    assert (handler.should_close, handler.read_timeout, len(handler)) == (False, None, 0)
    assert not handler.is_connected()


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (
            ResponseHandler.set_response_params,
            {"read_until_eof", "auto_decompress", "read_timeout", "max_headers"},
        ),
        (ResponseHandler.set_exception, {"exc", "exc_cause"}),
        (ResponseHandler.feed_data, {"data", "size"}),
        (ResponseHandler.data_received, {"data"}),
        (ResponseHandler.start_timeout, set()),
        (ResponseHandler.force_close, set()),
        (ResponseHandler.abort, set()),
        (ResponseHandler.read, set()),
        (Connection.close, set()),
        (Connection.release, set()),
        (aiohttp.BaseConnector.connect, {"req", "traces", "timeout"}),
    ],
)
def test_a_method_takes_the_parameters_that_are_passed(
    method: object, parameters: set[str]
) -> None:
    """By these names, or as the first ones."""
    assert callable(method)
    assert inspect.signature(method).parameters.keys() >= parameters


async def test_a_request_names_its_destination() -> None:
    """Host, port, TLS and proxy are all that a connector reads of it."""
    request = request_to(URL("https://a.example/"), URL("http://proxy.example:3128"))
    key = request.connection_key
    assert (key.host, key.port, key.is_ssl) == ("a.example", 443, True)
    assert key.proxy == URL("http://proxy.example:3128")


def test_undocumented_parts_are_used_in_one_module() -> None:
    """Of all product code."""
    users = {
        path.relative_to(ROOT).as_posix()
        for package in PRODUCT
        for path in (ROOT / package).rglob("*.py")
        if UNDOCUMENTED.search(path.read_text())
    }
    assert users == {"core/aiohttp_internals.py"}

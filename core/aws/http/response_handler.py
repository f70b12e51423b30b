"""The protocol of a connection that tells its reader of every end."""

import aiohttp
from aiohttp.client_proto import ResponseHandler


class PayloadErrorHandler(ResponseHandler):
    """A body whose framing breaks fails whoever reads it, where aiohttp lets that wait for ever, without a time-out."""

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc, exc if exc_cause is None else exc_cause)
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the body broke off"), exc)

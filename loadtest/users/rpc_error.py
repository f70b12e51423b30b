"""A failed call by its reason."""

from typing import Self, cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status


class RpcError(Exception):
    """A failed call. `reason` has few distinct values: locust and the report count failures by it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @classmethod
    def of(cls, error: grpc.RpcError) -> Self:
        """Take the reason from google.rpc.ErrorInfo, or the name of the code if the error has none."""
        return cls(_reason(error) or error.code().name)


def _reason(error: grpc.RpcError) -> str:
    try:
        # from_call uses only attributes that an error has too.
        status = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:
        # The details contradict the status, so a proxy created them.
        return ""
    info = ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            break
    return str(info.reason)

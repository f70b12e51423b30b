"""A call that the service refused or did not answer, named by its reason."""

from typing import Self, cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status


class RpcFailed(Exception):
    """`reason` is of low cardinality: locust and the report count failures by it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @classmethod
    def of(cls, error: grpc.RpcError) -> Self:
        """By the reason in google.rpc.ErrorInfo, or the code's name where the error is gRPC's own."""
        return cls(_reason(error) or error.code().name)


def _reason(error: grpc.RpcError) -> str:
    try:
        # It reads no more of a call than the error has, too.
        status = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:
        # Details that contradict their own status: somebody between the server and us made them up.
        return ""
    info = ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            break
    return str(info.reason)

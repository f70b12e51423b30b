"""Page tokens of one customer, given for another's list."""

from functools import partial

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import again
from loadtest.walk.lists import Question
from loadtest.walk.pages import ask


async def refused(
    stub: "pb_grpc.ImageServiceAsyncStub", token: str, question: Question, patience: float
) -> bool:
    """Whether the token, which is of another list, is INVALID_ARGUMENT for this one."""
    asked = question.message()
    asked.page_token = token
    try:
        await again(patience, partial(ask, stub, asked))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            return True
        raise
    return False

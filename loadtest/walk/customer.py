"""All walks of one customer: what is known of its requests, then one list after the other."""

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import again
from loadtest.walk.choice import Choice
from loadtest.walk.figures import Figures
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import PENDING, SEARCHES, Question, questions
from loadtest.walk.looking import Looking
from loadtest.walk.pages import Walked, ask, walk
from loadtest.walk.proof import Known, Proof
from loadtest.walk.searches import Searches
from loadtest.walk.submitting import Steady
from loadtest.walk.tokens import refused

INDEX_SECONDS = 2.0
"""After which an index of DynamoDB surely tells of what its table holds: it follows within a moment."""


@dataclass(frozen=True, slots=True)
class CustomerWalks:
    """What is found goes to `proof` and `figures`."""

    stub: "pb_grpc.ImageServiceAsyncStub"
    items: WalkItems
    chosen: frozenset[Choice]
    patience: float
    steady: Steady
    looking: Looking
    proof: Proof
    figures: Figures

    async def walk(self, at: int) -> None:
        """All chosen lists of the customer numbered `at`. Raises AioRpcError."""
        known = await self._known(at)
        times = [entry.created for entry in known.requests.values()]
        searches = Searches(self.stub, self.patience)
        for question in questions(at, self.items.customer_at(at), times, self.chosen):
            if question.kind in SEARCHES:
                async for walked, must in searches.walks(question, known):
                    await self._judge(at, walked, known, must)
                continue
            walked, judged = await walk(self.stub, question, self.patience), known
            if question.kind == PENDING:
                judged = known.still(await self.looking.known(known.pending()))
            await self._judge(at, walked, judged, judged.expected(question))

    async def _known(self, at: int) -> Known:
        """All of one customer's requests, long enough ago for an index to tell of them."""
        customers, before = self.items.customers, time.monotonic()
        numbers = [
            *range(at, self.items.total, customers),
            *(n for n in self.steady.acknowledged(before) if n % customers == at),
        ]
        known = await self.looking.known([self.items.request_id(n) for n in numbers])
        await asyncio.sleep(INDEX_SECONDS)
        return known

    async def _judge(self, at: int, walked: Walked, known: Known, must: set[str]) -> None:
        self.figures.add(walked)
        self.proof.look_at(walked, known, must)
        await self._try_token(walked, at)

    async def _try_token(self, walked: Walked, at: int) -> None:
        """A token of one customer's list, for the next customer's list of the same kind."""
        question, token = walked.question, walked.first_token
        if not token:
            token = await self._token_of_shortest(question)
        if not token:
            return
        other = self.items.customer_at((at + 1) % self.items.customers)
        taken = await refused(self.stub, token, replace(question, customer=other), self.patience)
        self.proof.token(token, question, other, refused=taken)

    async def _token_of_shortest(self, question: Question) -> str:
        """Where a list has two entries, its page of one has a token."""
        shortest = replace(question, page_size=1).message()
        token, _ = await again(self.patience, partial(ask, self.stub, shortest))
        return token

"""Schedules images on decoder processes, and enforces their limits.

An image whose body is small is first examined as a cheap one, by any free decoder. The decoder answers what an
expensive image needs instead of examining it: then the image waits for this much of the memory budget, and for a
decoder other than the first one. So expensive images never block the cheap ones. They run at low priority, and the
process keeps few of them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from consumer.byte_budget import ByteBudget, Reservation
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination, InspectionResult, apply_examination
from consumer.metrics import DECODER_ENDS, DECODERS_BUSY, EXPENSIVE_IMAGES
from consumer.sandbox.admission import Admission
from consumer.sandbox.cpu_limits import CpuLimits, Watch
from consumer.sandbox.decoder_process import CHEAP_DECODER_BYTES, DecoderProcess
from consumer.sandbox.fork_client import EXAMINER, ForkClient
from consumer.sandbox.lanes import Lanes, Slot
from consumer.sandbox.protocol import Answer, Fault, Request
from consumer.sandbox.restrictions.limits import limit_for
from consumer.sandbox.run_plan import (
    DecoderEnded,
    DecoderStopped,
    NotExamined,
    NotForked,
    NotStarted,
    Result,
    Run,
    Stop,
    after_answer,
    after_end,
    after_stop,
    first_run,
    without_renditions,
)
from core.errors import Crashed, DecodeLimit, ImageFailure, Internal, Overloaded, TooManyPixels
from core.runtime.logging import LogThrottle
from core.runtime.metrics import counter

_LOW_PRIORITY = 10
"""Nice value of the decoders that take expensive images."""
_IMAGES_PER_DECODER = 1_000
"""Then a decoder is replaced, which bounds leaks."""
_CHEAP_CPU_S = 0.3
"""CPU time of a cheap image. What takes longer moves to the lane for expensive ones."""
_RENDITIONS_SHARE = 2
"""A run with renditions has this part of the CPU limit. Above it the image runs again without them, with all of it.
So an image that is too expensive by itself costs one and a half times the limit, not twice."""
_THREAD_BYTES = 1 << 20
"""The hashes of a larger body are computed in a thread. They take 1 ms or more."""
_WARNING_INTERVAL_S = 0.1

_log = structlog.get_logger()


class DecoderFault(Exception):
    """Our code in a decoder raised an unexpected error. Its traceback was logged."""


class Isolation(Protocol):
    """Is told when a decoder has an image that may end this process, and when it has answered."""

    def begin(self) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Image:
    """An image that is examined. See `DecodePool.inspect`."""

    body: bytes
    request_id: str
    memory: Reservation | None
    isolation: Isolation | None
    customer_id: str


class DecodePool:
    """`budget_bytes` limits the memory of all expensive images that are decoded at the same time.

    `cpu_limit_s` limits the CPU time of one image in seconds. Without `admission`, expensive images wait without limit.
    """

    def __init__(
        self,
        policy: ImagePolicy,
        forks: ForkClient,
        *,
        decoders: int,
        budget_bytes: int,
        cpu_limit_s: float,
        admission: Admission | None = None,
    ) -> None:
        self._policy = policy
        self._forks = forks
        self._budget = ByteBudget(budget_bytes)
        self._lanes = Lanes[DecoderProcess](decoders)
        self._admission = admission
        self._cpu_limit_s = cpu_limit_s
        self._limits = CpuLimits()
        self._applying = asyncio.Lock()
        self._isolating = asyncio.Lock()
        DECODERS_BUSY.set_function(lambda: sum(slot.images > 0 for slot in self._lanes.slots))

    async def start(self) -> tuple[str, ...]:
        """Start every decoder. Returns their active protections. Raises ChildProcessError."""
        decoders = [await self._decoder(slot) for slot in self._lanes.slots]
        try:
            ready = [await decoder.ready for decoder in decoders]
        except DecoderEnded as ended:
            raise ChildProcessError(f"a decoder does not start: {ended}") from ended
        return ready[-1]

    async def inspect(
        self,
        body: bytes,
        request_id: str = "",
        renditions: Sequence[str] = (),
        memory: Reservation | None = None,
        isolation: Isolation | None = None,
        *,
        customer_id: str = "",
    ) -> InspectionResult:
        """Inspect one image: check it, read its metadata, strip its location and make its renditions.

        renditions: names of presets of the policy. If the image exceeds a limit or meets an error of ours with them,
        they fail, not the image.
        memory: for the renditions. It is held while a decoder has the image, and afterwards if there is a result.
        isolation: for an image that may end this process. It gets a fresh decoder of its own.
        customer_id: customers take turns, and expensive images of one leave places to those of others.
        Raises PermanentFailure, DecodersBusy if the image is expensive and has to come back later, Overloaded if the
        system refuses new processes, and DecoderFault for an error of ours.
        """
        names = tuple(renditions)
        image = _Image(body, request_id, memory, isolation, customer_id)
        async with AsyncExitStack() as place:
            result = await self._examine(image, names, place)
        if names and isinstance(result, DecodeLimit | Crashed | TooManyPixels | Fault):
            async with AsyncExitStack() as place:
                alone = await self._examine(image, (), place)
            reason = Internal() if isinstance(result, Fault) else result
            result = without_renditions(alone, names, reason)
        match result:
            case Examination() as examination:
                return await self._apply(body, examination)
            case ImageFailure() as failure:
                raise failure
            case Fault(error):
                raise DecoderFault(error)

    async def wait_for_turn(self, customer_id: str) -> None:
        """Wait before an image is fetched that is known to be expensive. Raises DecodersBusy."""
        if self._admission is not None:
            await self._admission.wait_for_turn(customer_id)

    async def _apply(self, body: bytes, examination: Examination) -> InspectionResult:
        if len(body) <= _THREAD_BYTES:
            return apply_examination(body, examination)
        # One at a time: meanwhile a body is in memory twice.
        async with self._applying:
            return await asyncio.to_thread(apply_examination, body, examination)

    async def _examine(
        self, image: _Image, renditions: tuple[str, ...], place: AsyncExitStack
    ) -> Result:
        """Examine a body until there is a result. An expensive one holds its place until `place` is closed."""
        isolated = image.isolation is not None
        capacity = self._budget.capacity
        step = first_run(len(image.body), renditions, capacity, isolated=isolated)
        if isinstance(step, Run) and step.expensive:
            counter(EXPENSIVE_IMAGES, "size").inc()
        admission = self._admission
        while isinstance(step, Run):
            # An image that killed a decoder runs again at once: deferred, it would be forgotten that it did.
            if step.expensive and not step.fresh and admission is not None:
                await place.enter_async_context(admission.place(image.customer_id))
                admission = None
            run = step
            try:
                answer = await self._run(image, run)
            except DecoderStopped as stopped:
                step, why = after_stop(run, stopped.reason), "cpu"
                counter(DECODER_ENDS, stopped.reason.name.lower()).inc()
            except NotExamined:
                continue
            except NotForked as refused:
                counter(DECODER_ENDS, refused.label).inc()
                raise Overloaded(f"no decoder can be started: {refused}") from refused
            except DecoderEnded as ended:
                counter(DECODER_ENDS, ended.label).inc()
                _log.warning("decoder ended", reason=str(ended), request_id=image.request_id)
                step, why = _after_end(run, ended), "again"
            else:
                step, why = after_answer(run, answer, capacity), "charge"
            if isinstance(step, Run) and step.expensive and not run.expensive:
                counter(EXPENSIVE_IMAGES, why).inc()
        return step

    async def _run(self, image: _Image, run: Run) -> Answer:
        if not run.isolated:
            return await self._run_beside_others(image, run)
        # One at a time: if this process dies, the image of the death is known.
        async with self._isolating:
            return await self._run_beside_others(image, run)

    async def _run_beside_others(self, image: _Image, run: Run) -> Answer:
        if not run.expensive:
            return await self._run_with_memory(image, run)
        size = self._budget.capacity if run.needs_whole_budget else run.memory_bytes
        async with self._budget.reserve(size):
            return await self._run_with_memory(image, run)

    async def _run_with_memory(self, image: _Image, run: Run) -> Answer:
        """Hold the memory of the renditions during this run, and longer if it makes them."""
        memory = image.memory
        if memory is None or not run.renditions:
            return await self._run_on_slot(image, run)
        await memory.acquire()
        made = False
        try:
            answer = await self._run_on_slot(image, run)
            made = isinstance(answer, Examination)
            return answer
        finally:
            if not made:
                memory.shrink(0)

    async def _run_on_slot(self, image: _Image, run: Run) -> Answer:
        body, isolation = image.body, image.isolation
        slot = await self._lanes.acquire(
            len(body), expensive=run.needs_whole_decoder, customer_id=image.customer_id
        )
        try:
            decoder = await self._decoder(slot, fresh=run.needs_fresh_decoder)
            if isolation is not None:
                # Then the image is examined from its start on: a decoder that is still forked is not its fault.
                await asyncio.shield(decoder.ready)
        except BaseException:
            self._lanes.release(slot, len(body))
            raise
        request = Request(body, run.memory_bytes, not run.expensive, run.renditions)
        if isolation is not None:
            isolation.begin()
        exam = decoder.start(request, image.request_id)
        if run.expensive:
            limit_s = self._cpu_limit_s / (_RENDITIONS_SHARE if run.renditions else 1)
            watch = Watch(decoder, exam, limit_s, Stop.CPU_LIMIT)
        else:
            watch = Watch(decoder, exam, _CHEAP_CPU_S, Stop.CHEAP_CPU_LIMIT)
        self._limits.add(watch)
        try:
            return await decoder.finish(exam, self._policy)
        except asyncio.CancelledError:
            # Others may wait for the same decoder. It answers a cheap image soon, or its limit ends it.
            if run.needs_whole_decoder:
                decoder.stop(Stop.CANCELLED)
                counter(DECODER_ENDS, "cancelled").inc()
            raise
        finally:
            decoder.when_answered(exam, partial(self._release, slot, len(body), watch, isolation))

    def _release(
        self, slot: Slot[DecoderProcess], size: int, watch: Watch, isolation: Isolation | None
    ) -> None:
        if isolation is not None:
            isolation.end()
        self._limits.remove(watch)
        self._lanes.release(slot, size)

    async def _decoder(self, slot: Slot[DecoderProcess], *, fresh: bool = False) -> DecoderProcess:
        """Return the decoder of a slot, which is replaced if it has ended or is used up."""
        low = slot.takes_expensive and len(self._lanes.slots) > 1
        expensive_bytes = limit_for(self._budget.capacity)
        memory_bytes = expensive_bytes if slot.takes_expensive else CHEAP_DECODER_BYTES
        while True:
            decoder = slot.decoder
            if decoder is not None and decoder.usable:
                if decoder.images < (1 if fresh else _IMAGES_PER_DECODER):
                    return decoder
                decoder.retire()
                counter(DECODER_ENDS, "replaced").inc()
            slot.decoder = None
            await self._forks.wait_until_running()
            # Another image of the slot may have waited too.
            if slot.decoder is None:
                slot.decoder = self._forks.fork(_LOW_PRIORITY if low else 0, memory_bytes)
                return slot.decoder


def _after_end(run: Run, ended: DecoderEnded) -> Run | Result:
    """Decide as `after_end`. Raises Overloaded if decoders do not start."""
    try:
        return after_end(run, ended)
    except NotStarted as refused:
        raise Overloaded(f"no decoder can be started: {refused}") from refused


class _Warnings:
    """Logs what decoders write to their standard error."""

    def __init__(self) -> None:
        self._throttle = LogThrottle(_WARNING_INTERVAL_S)
        self._dropped = 0

    def log(self, text: str, request_id: str) -> None:
        if not self._throttle.allows():
            self._dropped += 1
            return
        _log.warning(
            "decoder warned", text=text.strip(), request_id=request_id, dropped=self._dropped
        )
        self._dropped = 0


@asynccontextmanager
async def open_decode_pool(
    policy: ImagePolicy,
    *,
    decoders: int,
    budget_bytes: int,
    cpu_limit_s: float,
    admission: Admission | None = None,
    examiner: str = EXAMINER,
) -> AsyncIterator[DecodePool]:
    """Start the fork server and the decoders; on exit, end them. Call it before the process loads credentials.

    examiner: MODULE:FUNCTION that answers a request in a decoder. Raises ChildProcessError if they do not start.
    """
    forks = ForkClient(policy, on_warning=_Warnings().log, examiner=examiner)
    try:
        pool = DecodePool(
            policy,
            forks,
            decoders=decoders,
            budget_bytes=budget_bytes,
            cpu_limit_s=cpu_limit_s,
            admission=admission,
        )
        _log.info("decoders started", count=decoders, protections=await pool.start())
        yield pool
    finally:
        await forks.close()

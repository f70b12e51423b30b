"""Schedules images on decoder processes, and enforces their limits.

An image whose body is small is first examined as a cheap one, by any free decoder. The decoder answers what an
expensive image needs instead of examining it: then the image waits for this much of the memory budget, and for a
decoder other than the first one. So expensive images never block the cheap ones. They run at low priority, and the
process keeps few of them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

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
    ) -> InspectionResult:
        """Inspect one image: check it, read its metadata, strip its location and make its renditions.

        renditions: names of presets of the policy. If the image exceeds a limit or meets an error of ours with them,
        they fail, not the image.
        memory: for the renditions. It is held while a decoder has the image, and afterwards if there is a result.
        Raises PermanentFailure, DecodersBusy if the image is expensive and has to come back later, Overloaded if the
        system refuses new processes, and DecoderFault for an error of ours.
        """
        names = tuple(renditions)
        async with AsyncExitStack() as place:
            result = await self._examine(body, request_id, names, place, memory)
        if names and isinstance(result, DecodeLimit | Crashed | TooManyPixels | Fault):
            async with AsyncExitStack() as place:
                alone = await self._examine(body, request_id, (), place)
            reason = Internal() if isinstance(result, Fault) else result
            result = without_renditions(alone, names, reason)
        match result:
            case Examination() as examination:
                if len(body) <= _THREAD_BYTES:
                    return apply_examination(body, examination)
                # One at a time: meanwhile a body is in memory twice.
                async with self._applying:
                    return await asyncio.to_thread(apply_examination, body, examination)
            case ImageFailure() as failure:
                raise failure
            case Fault(error):
                raise DecoderFault(error)

    async def wait_for_turn(self) -> None:
        """Wait before an image is fetched that is known to be expensive. Raises DecodersBusy."""
        if self._admission is not None:
            await self._admission.wait_for_turn()

    async def _examine(
        self,
        body: bytes,
        request_id: str,
        renditions: tuple[str, ...],
        place: AsyncExitStack,
        memory: Reservation | None = None,
    ) -> Result:
        """Examine a body until there is a result. An expensive one holds its place until `place` is closed."""
        step = first_run(len(body), renditions, self._budget.capacity)
        if isinstance(step, Run) and step.expensive:
            counter(EXPENSIVE_IMAGES, "size").inc()
        admission = self._admission
        while isinstance(step, Run):
            # An image that killed a decoder runs again at once: deferred, it would be forgotten that it did.
            if step.expensive and not step.fresh and admission is not None:
                await place.enter_async_context(admission.place())
                admission = None
            run = step
            try:
                answer = await self._run(body, run, request_id, memory)
            except DecoderStopped as stopped:
                step, why = after_stop(run, stopped.reason), "cpu"
                counter(DECODER_ENDS, stopped.reason.name.lower()).inc()
            except NotExamined:
                continue
            except NotForked as refused:
                counter(DECODER_ENDS, refused.label).inc()
                raise Overloaded(f"no decoder can be started: {refused}") from refused
            except DecoderEnded as ended:
                step, why = after_end(run, ended), "again"
                counter(DECODER_ENDS, ended.label).inc()
                _log.warning("decoder ended", reason=str(ended), request_id=request_id)
            else:
                step, why = after_answer(run, answer, self._budget.capacity), "charge"
            if isinstance(step, Run) and step.expensive and not run.expensive:
                counter(EXPENSIVE_IMAGES, why).inc()
        return step

    async def _run(
        self, body: bytes, run: Run, request_id: str, memory: Reservation | None
    ) -> Answer:
        if not run.expensive:
            return await self._run_with_memory(body, run, request_id, memory)
        size = self._budget.capacity if run.alone else run.memory_bytes
        async with self._budget.reserve(size):
            return await self._run_with_memory(body, run, request_id, memory)

    async def _run_with_memory(
        self, body: bytes, run: Run, request_id: str, memory: Reservation | None
    ) -> Answer:
        """Hold the memory of the renditions during this run, and longer if it makes them."""
        if memory is None or not run.renditions:
            return await self._run_on_slot(body, run, request_id)
        await memory.acquire()
        made = False
        try:
            answer = await self._run_on_slot(body, run, request_id)
            made = isinstance(answer, Examination)
            return answer
        finally:
            if not made:
                memory.shrink(0)

    async def _run_on_slot(self, body: bytes, run: Run, request_id: str) -> Answer:
        slot = await self._lanes.acquire(len(body), expensive=run.expensive)
        try:
            decoder = await self._decoder(slot, fresh=run.fresh)
        except BaseException:
            self._lanes.release(slot, len(body))
            raise
        request = Request(body, run.memory_bytes, not run.expensive, run.renditions)
        exam = decoder.start(request, request_id)
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
            if run.expensive:
                decoder.stop(Stop.CANCELLED)
                counter(DECODER_ENDS, "cancelled").inc()
            raise
        finally:
            decoder.when_answered(exam, partial(self._release, slot, len(body), watch))

    def _release(self, slot: Slot[DecoderProcess], size: int, watch: Watch) -> None:
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

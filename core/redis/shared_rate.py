"""Rates that many processes share: a token bucket per key, kept in Redis.

    imageservice:<requests table>:rate:<key>   the theoretical arrival time of the next permit; expires when it passes

The bucket is a virtual schedule (GCRA: ITU-T I.371, annex A), so it is one number, and Redis needs no timer to fill it.
Only the clock of Redis is read: those of two processes may differ.
"""

from redis.asyncio import Redis

from core.answers import MalformedAnswer
from core.redis.connection import RedisConnection

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local wanted, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = now + burst / rate
local due = math.min(full, math.max(now, tonumber(redis.call('GET', KEYS[1])) or now))
local granted = math.min(wanted, math.floor((full - due) * rate + 1e-3))
due = due + granted / rate
redis.call('SET', KEYS[1], string.format('%.6f', due), 'PX', math.ceil((due - now) * 1000) + 1)
return granted
"""
"""A stored time beyond a full bucket is cut to it: the rate may have been raised, or the clock set back."""


class SharedRate:
    """The rates of one requests table. `take` is one call; a caller that needs many permits takes several at once."""

    def __init__(self, connection: RedisConnection, requests_table: str) -> None:
        self.connection = connection
        self._prefix = f"imageservice:{requests_table}:rate:"
        self._take = connection.script(_TAKE)

    async def take(self, key: str, permits: int, rate: float, burst: int) -> int:
        """Take up to `permits` permits of a bucket that fills at `rate` per second up to `burst`.

        Returns how many were granted, 0 if the bucket is empty. Callers choose keys without personal data. Raises
        RedisUnavailable; then each process applies a limit of its own.
        """
        name = self._prefix + key

        async def run(client: Redis) -> int:
            answer = await self._take(keys=[name], args=[permits, rate, burst], client=client)
            return _decode_granted(answer, permits)

        return await self.connection.call("rate", run)


def _decode_granted(answer: object, permits: int) -> int:
    """Raises MalformedAnswer."""
    if not isinstance(answer, int) or not 0 <= answer <= permits:
        raise MalformedAnswer(f"not a number of permits up to {permits}")
    return answer

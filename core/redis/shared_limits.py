"""Slots and rates of origin hosts that all consumers share.

    imageservice:<requests table>:host:<host>            a hash with the slots of each process
    imageservice:<requests table>:host:<host> <digest>   a hash with the rate that each process has learned for the
                                                         customer of that digest

A hash expires if it is not renewed. A process reports its demand when it begins with a host, renews its share every few
seconds, and gives its slots back soon after its last request. One script computes many shares. Only the clock of Redis
is read.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from core.answers import MalformedAnswer
from core.batcher import Batcher, ItemResult, Ok
from core.errors import Overloaded
from core.redis.connection import RedisConnection, RedisUnavailable

SHARE_S = 8.0
"""Time after which the share of a process that has died is free."""
RENEW_S = 2.0
MAX_KEY_BYTES = 300

_BATCH = 100
_MAX_PENDING = 1_000

_SHARE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owner, limit, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local shares = {}
for i, key in ipairs(KEYS) do
  local wanted, rate = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local opens = now + tonumber(ARGV[3 * i + 3])
  local entries, peers, wanting = redis.call('HGETALL', key), {}, 1
  for j = 1, #entries, 2 do
    local slots, want, expires, own, open = string.match(entries[j + 1], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
    if not slots or tonumber(expires) <= now then
      redis.call('HDEL', key, entries[j])
    elseif entries[j] ~= owner then
      peers[#peers + 1] = {tonumber(slots), tonumber(want), tonumber(own)}
      if tonumber(want) > 0 then wanting = wanting + 1 end
      opens = math.max(opens, tonumber(open))
    end
  end
  local fair, taken, missing, limited, total = math.max(1, math.floor(limit / wanting)), 0, 0, 0, 0
  for _, peer in ipairs(peers) do
    taken = taken + peer[1]
    missing = missing + math.max(0, math.min(peer[2], fair) - peer[1])
    if peer[3] > 0 then limited, total = limited + 1, total + peer[3] end
  end
  local free = math.max(0, limit - taken)
  local granted = math.min(wanted, free, math.max(fair, free - missing))
  local entry = string.format('%d %d %d %d %d', granted, wanted, now + ttl, rate, opens)
  redis.call('HSET', key, owner, entry)
  redis.call('PEXPIRE', key, ttl)
  shares[i] = {granted, opens - now, limited, total}
end
return shares
"""
"""A process that holds more than its fair share gives slots back at its next renewal if others miss theirs."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a process wants of a host, and what it has learned.

    host: its name; for a rate, that and the customer. slots: 0 if its requests have ended, or for a rate. rate: per
    second, 0 if none was learned. closed: seconds until it opens.
    """

    host: str
    slots: int
    rate: float
    closed: float


@dataclass(frozen=True, slots=True)
class Share:
    """The share of this process.

    closed: seconds until the host opens. limited_peers: how many other processes have learned a rate. peers_rate: the
    sum of their rates, per second.
    """

    slots: int
    closed: float
    limited_peers: int
    peers_rate: float


class SharedLimits:
    """The shares of one process. At most `limit` slots of a host are granted to all processes together."""

    def __init__(self, connection: RedisConnection, requests_table: str, limit: int) -> None:
        self._connection = connection
        self._prefix = f"imageservice:{requests_table}:host:"
        self._limit = limit
        self._owner = uuid.uuid4().hex
        self._script = connection.script(_SHARE)
        self._batcher: Batcher[Demand, Share | None] = Batcher(
            "redis shares", self._commit, max_batch=_BATCH, max_pending=_MAX_PENDING
        )

    async def share(self, demand: Demand) -> Share | None:
        """Report a demand and return the share; None if Redis does not answer. Then the process has its own limits."""
        if not self._connection.available or len(demand.host) > MAX_KEY_BYTES:
            return None
        try:
            return await self._batcher.submit(demand)
        except Overloaded:
            return None

    async def _commit(self, demands: Sequence[Demand]) -> Sequence[ItemResult[Share | None]]:
        keys = [self._prefix + demand.host for demand in demands]
        values: list[int | str] = [self._owner, self._limit, round(SHARE_S * 1_000)]
        for demand in demands:
            values += [demand.slots, round(demand.rate * 1_000), round(demand.closed * 1_000)]

        async def run(client: Redis) -> list[Share]:
            return _decode(await self._script(keys=keys, args=values, client=client), len(keys))

        try:
            shares = await self._connection.call("share", run)
        except RedisUnavailable:
            return [Ok(None)] * len(demands)
        return [Ok(share) for share in shares]


def _decode(answer: object, count: int) -> list[Share]:
    """Raises MalformedAnswer."""
    if not isinstance(answer, list) or len(answer) != count:
        raise MalformedAnswer(f"not {count} shares")
    shares = []
    for share in answer:
        match share:
            case [int(slots), int(closed), int(peers), int(rate)]:
                shares.append(Share(slots, closed / 1_000, peers, rate / 1_000))
            case _:
                raise MalformedAnswer("not a share")
    return shares

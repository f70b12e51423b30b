"""Redis, optional (REDIS_URL): a cache of COMPLETED requests, and events when requests end.

Redis is never the only source of a fact: if it does not answer within milliseconds, callers read the tables.
"""

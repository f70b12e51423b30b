"""What servers and consumers share through Redis, where REDIS_URL is set: outcomes, and the news of them.

Redis is never asked for what must be known: whatever it does not answer within a moment is read from the tables.
"""

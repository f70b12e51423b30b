"""The lane of each message: the queue of interactive requests, or that of bulk requests."""

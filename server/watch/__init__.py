"""WatchRequest: one watcher per process polls DynamoDB for all subscriptions."""

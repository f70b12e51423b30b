"""The end of a request: outcome, notification, the copy of a failure."""

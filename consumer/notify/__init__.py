"""The end of a request: its outcome, the notification, and the message of a failed request."""

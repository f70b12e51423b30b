"""Locust's users of the service, the shapes of their load, and what they leave behind as a report."""

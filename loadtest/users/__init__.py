"""Locust users of the service, the shapes of their load, and their report."""

"""Walks through every customer's lists to their ends while more is submitted, and a proof of what they listed."""

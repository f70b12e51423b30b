"""Downloads from untrusted origins: one attempt, within limits, to allowed addresses only."""

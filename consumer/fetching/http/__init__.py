"""HTTP as origins speak it: connections, response heads, and the checks of both (ADR 12)."""

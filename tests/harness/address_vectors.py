"""The rows of tests/vectors/addresses.txt."""

from dataclasses import dataclass
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors" / "addresses.txt"


@dataclass(frozen=True, slots=True)
class AddressVector:
    """An address, or a host as in a URL, with its verdict: blocked, allowed or odd."""

    host: str
    verdict: str
    source: str

    def url(self, port: int = 80) -> str:
        """Return a URL with this host. An IPv6 address gets brackets."""
        bare_ipv6 = self.verdict != "odd" and ":" in self.host
        host = f"[{self.host}]" if bare_ipv6 else self.host
        return f"http://{host}/picture.png" if port == 80 else f"http://{host}:{port}/picture.png"


def address_vectors(verdict: str) -> list[AddressVector]:
    """Return all rows with this verdict."""
    lines = VECTORS.read_text(encoding="utf-8").split("\n")
    rows = [AddressVector(*line.split("\t")) for line in lines if line and line[0] != "#"]
    return [row for row in rows if row.verdict == verdict]

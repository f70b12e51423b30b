"""The customer that a command speaks for."""

import re
from typing import Annotated

import typer

from cli.errors import UsageFault

DEFAULT = "local"

CustomerOption = Annotated[str, typer.Option("--customer", metavar="ID", help="Who is asking.")]

_CUSTOMER = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""The contract's rule for customer_id."""


def require(customer: str) -> None:
    """Raises UsageFault where the service would refuse it."""
    if not _CUSTOMER.fullmatch(customer):
        raise UsageFault(
            f"--customer '{customer}': not 1 to 128 of letters, digits, and the characters _ . : -"
        )

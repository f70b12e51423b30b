"""Labels as a person gives them: KEY=VALUE."""

from collections.abc import Iterable, Mapping

from cli.errors import UsageFault


def parse(given: Iterable[str]) -> Mapping[str, str]:
    """Raises UsageFault. How many there may be, and how long, is the service's to say."""
    labels: dict[str, str] = {}
    for label in given:
        key, equals, value = label.partition("=")
        if not equals or labels.get(key, value) != value:
            raise UsageFault(f"--label {label}: not KEY=VALUE, or a second value of one key")
        labels[key] = value
    return labels

"""The parameters of core/stack.yaml. They are checked before anything starts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cli.errors import UsageError

_SECTION = re.compile(r"^Parameters:\n((?:[ #].*\n|\n)+)", re.MULTILINE)
_PARAMETER = re.compile(r"^  (\w+):\n((?:    .*\n|  #.*\n|\n)+)", re.MULTILINE)
_FACT = re.compile(r"^    (AllowedPattern|ConstraintDescription): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parameter:
    pattern: str = ""
    """A regular expression for the whole value."""
    rule: str = ""
    """The pattern in words."""


def parameters(template: str) -> dict[str, Parameter]:
    """Return the parameters of our own template by name. The command does not depend on a YAML parser."""
    section = _SECTION.search(template)
    if section is None:
        raise ValueError("the template has no parameters")
    found = {}
    for name, body in _PARAMETER.findall(section.group(1)):
        facts = dict(_FACT.findall(body))
        # Quoted scalars in our template are valid JSON.
        pattern = json.loads(facts.get("AllowedPattern", '""'))
        found[name] = Parameter(pattern, facts.get("ConstraintDescription", ""))
    return found


def check(known: Mapping[str, Parameter], values: Mapping[str, str]) -> None:
    """Raise UsageError for a parameter that the template does not have."""
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"--parameter {name}: core/stack.yaml has only {', '.join(known)}")
        check_value(f"--parameter {name}={value}", known[name], value)


def check_value(option: str, parameter: Parameter, value: str) -> None:
    """Raise UsageError, which begins with `option`, for a value that the template does not allow."""
    if parameter.pattern and not re.fullmatch(parameter.pattern, value):
        raise UsageError(f"{option}: {parameter.rule or f'must match {parameter.pattern}'}")

"""How the Python that ran was built: a quarter of a figure, and more, hangs on it."""

import platform
import sysconfig
from dataclasses import dataclass

_OPTION = "--enable-optimizations"


@dataclass(frozen=True, slots=True)
class PythonBuild:
    """`options` names the build's own option for optimisation, where it was given.

    Without it nothing is known: Debian optimises its Python by profile too, and does not tell.
    """

    version: str
    compiler: str
    built: str
    """When, as the interpreter says it."""
    options: str

    def __str__(self) -> str:
        details = ", ".join(filter(None, (self.compiler, self.options, f"of {self.built}")))
        return f"Python {self.version} ({details})"


def python_build() -> PythonBuild:
    """Of this process, and so of every Python process that a benchmark starts."""
    given = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return PythonBuild(
        version=platform.python_version(),
        compiler=platform.python_compiler(),
        built=platform.python_build()[1],
        options=_OPTION if _OPTION in given else "",
    )

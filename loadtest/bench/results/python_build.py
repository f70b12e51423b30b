"""How the Python that ran was built: a tenth of a figure, and more, hangs on it."""

import platform
import sysconfig
from dataclasses import dataclass

_OPTIONS = ("CONFIG_ARGS", "CFLAGS", "PY_CFLAGS", "PY_CORE_CFLAGS")
_SIGNS = ("--enable-optimizations", "-fprofile-use")


@dataclass(frozen=True, slots=True)
class PythonBuild:
    """`optimised`: sysconfig says that it was built with profile-guided optimisation; None where nobody noted it."""

    version: str
    compiler: str
    optimised: bool | None

    def __str__(self) -> str:
        if self.optimised is None:
            return f"Python {self.version}"
        optimised = "" if self.optimised else "not "
        return f"Python {self.version} ({self.compiler}, {optimised}profile-guided)"


def python_build() -> PythonBuild:
    """Of this process, and so of every Python process that a benchmark starts."""
    said = " ".join(str(sysconfig.get_config_var(option)) for option in _OPTIONS)
    return PythonBuild(
        version=platform.python_version(),
        compiler=platform.python_compiler(),
        optimised=any(sign in said for sign in _SIGNS),
    )

"""The jars of the backends. Maven downloads them once into a cache outside the clone. pom.xml pins the versions."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadtest.tool_cache import tool_cache

HERE = Path(__file__).parent
PARENT_WATCH = HERE / "ParentWatch.java"
JAVA_MAJOR = 17
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_TIMEOUT_S = 600


class BackendMissing(Exception):
    """The real backends cannot run here. `str()` is one line that names the missing tool."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One class path: a pom.xml and a Backend.java in `folder`. `wanted_by` names the feature in error messages."""

    name: str
    folder: Path
    wanted_by: str

    @property
    def pom(self) -> Path:
        return self.folder / "pom.xml"

    @property
    def sources(self) -> tuple[Path, ...]:
        return self.folder / "Backend.java", PARENT_WATCH


AWS = Bundle("backends", HERE, "--backend=real")
"""DynamoDB Local and ElasticMQ."""
OPENSEARCH = Bundle("opensearch", HERE / "opensearch", "OpenSearch")


def fetch(bundle: Bundle = AWS) -> Path:
    """Return the folder with all jars, native libraries and the launcher. Raises BackendMissing."""
    try:
        _require_java()
        inputs = b"".join(path.read_bytes() for path in (bundle.pom, *bundle.sources))
        folder = tool_cache() / f"{bundle.name}-{hashlib.sha256(inputs).hexdigest()[:12]}"
        if not folder.exists():
            _download(bundle, folder)
    except BackendMissing as missing:
        raise BackendMissing(f"{bundle.wanted_by}: {missing}") from None
    return folder


def _require_java() -> None:
    needed = f"needs a JDK of Java {JAVA_MAJOR} or newer"
    if shutil.which("java") is None or shutil.which("javac") is None:
        raise BackendMissing(f"{needed}: java and javac are not both installed")
    ran = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)  # noqa: S607
    if java_major(ran.stderr) < JAVA_MAJOR:
        raise BackendMissing(f"{needed}: java says {ran.stderr.partition(chr(10))[0]!r}")


def java_major(output: str) -> int:
    """Return the major version in the output of `java -version`, or 0."""
    version = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(version[1]) if version else 0


def _download(bundle: Bundle, folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise BackendMissing("needs Maven, which fetches its jars: mvn is not installed")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Download into a temporary folder first, so that no other process sees an incomplete folder.
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        jars = Path(temporary) / "jars"
        _maven(bundle.pom, jars)
        _compile(bundle.sources, jars)
        try:
            jars.rename(folder)
        except OSError:
            # A concurrent run has fetched the same jars.
            if not folder.exists():
                raise


def _maven(pom: Path, jars: Path) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(pom), _PLUGIN]
    ran = _run(*command, f"-DoutputDirectory={jars}", "-DincludeScope=runtime")
    if ran.returncode != 0:
        raise BackendMissing(f"Maven could not fetch the jars: {first_error(ran.stdout)}")


def _compile(sources: tuple[Path, ...], jars: Path) -> None:
    names = [str(source) for source in sources]
    ran = _run("javac", "-cp", f"{jars}{os.sep}*", "-d", str(jars), *names)
    if ran.returncode != 0:
        raise BackendMissing(f"javac refused {sources[0].name}: {ran.stdout.strip()}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackendMissing(f"{command[0]} is not done after {_FETCH_TIMEOUT_S} s") from None


def first_error(output: str) -> str:
    """Return the first error line of Maven's output, without its log level."""
    for line in output.splitlines():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if plain.startswith("[ERROR] "):
            return plain.removeprefix("[ERROR] ").strip()
    return "no reason in its output"

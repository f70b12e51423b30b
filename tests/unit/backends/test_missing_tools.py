"""If the real backends cannot run, the error is one line that names the missing tool."""

import os
from pathlib import Path

import pytest

from backends.jars import BackendMissing, fetch

JAVA = """echo 'openjdk version "{}"' >&2"""
OFFLINE = (
    """echo '[ERROR] Could not resolve elasticmq: no route to host'; echo '[ERROR] again'; exit 1"""
)
FETCHED = """for option; do case $option in -DoutputDirectory=*) /bin/mkdir -p "${option#*=}";; esac; done"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as PATH, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def install(folder: Path, **programs: str) -> None:
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ({}, "needs a JDK of Java 17 or newer: java and javac are not both installed"),
        (
            {"java": JAVA.format("17")},
            "needs a JDK of Java 17 or newer: java and javac are not both installed",
        ),
        (
            {"java": JAVA.format("11.0.2"), "javac": "exit 0"},
            """java says 'openjdk version "11.0.2"'""",
        ),
        (
            {"java": JAVA.format("17.0.1"), "javac": "exit 0"},
            "needs Maven, which fetches its jars: mvn is not installed",
        ),
        (
            {"java": JAVA.format("21"), "javac": "exit 0", "mvn": OFFLINE},
            "Maven could not fetch the jars: Could not resolve elasticmq: no route to host",
        ),
        (
            {"java": JAVA.format("21"), "javac": "echo no; exit 1", "mvn": FETCHED},
            "javac refused Backend.java: no",
        ),
    ],
)
def test_the_missing_tool_is_named(tools: Path, programs: dict[str, str], message: str) -> None:
    """A failed download leaves nothing in the cache that the next run would take for complete."""
    install(tools, **programs)
    with pytest.raises(BackendMissing) as missing:
        fetch()
    text = str(missing.value)
    assert text.startswith("--backend=real")
    assert message in text
    assert "\n" not in text
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "imageservice-tools"
    assert not cache.exists() or list(cache.iterdir()) == []


def test_cached_jars_are_not_fetched_again(tools: Path) -> None:
    """With a filled cache neither Maven nor the network is needed."""
    install(tools, java=JAVA.format("17"), javac="exit 0", mvn=FETCHED)
    folder = fetch()
    (tools / "mvn").unlink()
    assert fetch() == folder

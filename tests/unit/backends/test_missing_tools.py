"""Where the real backends cannot run, one line says what is missing."""

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
    """The only folder of programs, empty, and a cache with nothing in it."""
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
    ("programs", "says"),
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
def test_one_line_names_what_is_missing(tools: Path, programs: dict[str, str], says: str) -> None:
    """And nothing half-made is left for the next run to take for whole."""
    install(tools, **programs)
    with pytest.raises(BackendMissing) as missing:
        fetch()
    told = str(missing.value)
    assert told.startswith("--backend=real")
    assert says in told
    assert "\n" not in told
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "imageservice-tools"
    assert not cache.exists() or list(cache.iterdir()) == []


def test_what_was_fetched_is_not_fetched_again(tools: Path) -> None:
    """With the cache filled, Maven and the network are not needed any more."""
    install(tools, java=JAVA.format("17"), javac="exit 0", mvn=FETCHED)
    folder = fetch()
    (tools / "mvn").unlink()
    assert fetch() == folder

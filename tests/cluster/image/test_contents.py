"""The contents of the image."""

import json
import re

import pytest

from cluster.image.built_image import ROOT, BuiltImage
from cluster.image.docker import DockerFailed
from cluster.image.figures import Figures
from consumer.sandbox.restrictions import landlock

# The first test of a run builds the image, and its base if that is not cached.
pytestmark = pytest.mark.timeout(900)

UNPRIVILEGED_ID = 65532
PROTECTIONS = (
    *("limits", "not_accessible", "no_new_privileges", "no_capabilities"),
    *("landlock", "no_new_descriptors", "seccomp"),
)
MAX_ADDED_BYTES = 240_000_000

IMPORTABLE = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] or {names} if importlib.util.find_spec(name)]))
"""
DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps({each.name: each.version for each in importlib.metadata.distributions()}))
"""
WALK = """
import importlib.util, json, os, stat
paths = {"privileged": [], "writable": [], "not compiled": []}
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev", "/tmp")):
        continue
    for name in names:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            paths["privileged"].append(path)
        if not folder.startswith(("/venv", "/app")):
            continue
        if os.access(path, os.W_OK):
            paths["writable"].append(path)
        if path.endswith(".py") and not os.path.exists(importlib.util.cache_from_source(path)):
            paths["not compiled"].append(path)
print(json.dumps(paths))
"""
TOOLS = """
import json, shutil
compile = "cc c++ gcc g++ clang as ld make cmake cargo rustc"
install = "pip pip3 uv conda npm git curl wget"
ours = "imageservice imageservice-loadtest dotenv typer"
print(json.dumps([tool for tool in f"{compile} {install} {ours}".split() if shutil.which(tool)]))
"""
WRITE = """
import errno, json, os, tempfile
refused = []
for folder in ("/", "/app", "/venv", "/etc", "/var/tmp", "/run"):
    try:
        tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        refused.append((folder, errno.errorcode[error.errno]))
with tempfile.TemporaryFile() as file:
    file.write(b"0")
print(json.dumps(refused))
"""


def importable(image: BuiltImage, *names: str) -> list[str]:
    """Return those of the modules that the Python of the image can import."""
    modules: list[str] = json.loads(image.python(IMPORTABLE.format(names=names)))
    return modules


def test_it_has_the_services_without_cli_tests_and_load_tools(image: BuiltImage) -> None:
    """The embedded AWS, the origin of load tests and their dependencies are not in the image."""
    wanted = ("server", "consumer", "core", "imageservice")
    unwanted = (
        "cli",
        "loadtest",
        "tests",
        "ministack",
        "uvicorn",
        "locust",
        "pytest",
        "grpc_tools",
    )
    assert importable(image, *wanted, *unwanted) == list(wanted)


def test_it_has_the_tested_versions(image: BuiltImage) -> None:
    """constraints.txt pins every distribution in the image except our own two."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {
        normal(name): version for name, version in re.findall(r"^(.+)==(.+)$", text, re.MULTILINE)
    }
    inside: dict[str, str] = json.loads(image.python(DISTRIBUTIONS))
    others = {normal(name): version for name, version in inside.items()}
    assert others.pop("imageservice-app")
    assert others.pop("imageservice-protos")
    assert others
    assert others == {name: pinned.get(name) for name in others}


def normal(name: str) -> str:
    """Return the normalised name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_has_no_tool_to_build_install_or_download(image: BuiltImage) -> None:
    """Neither ours nor those of the base, except apt, which belongs to the base."""
    assert json.loads(image.python(TOOLS)) == []
    assert importable(image, "pip", "ensurepip._bundled", "setuptools", "hatchling") == []


def test_it_runs_as_an_unprivileged_user(image: BuiltImage) -> None:
    """The user is a number, so that Kubernetes can check that it is not root."""
    assert image.configuration()["Config"]["User"] == f"{UNPRIVILEGED_ID}:{UNPRIVILEGED_ID}"
    ids = json.loads(image.python("import os; print([*os.getresuid(), *os.getresgid()])"))
    assert set(ids) == {UNPRIVILEGED_ID}


def test_its_files_are_read_only_and_compiled(image: BuiltImage) -> None:
    """No file is setuid or setgid, its user can change no file, and a start compiles nothing."""
    assert json.loads(image.python(WALK)) == {"privileged": [], "writable": [], "not compiled": []}


def test_it_works_with_a_read_only_root(image: BuiltImage) -> None:
    """Only /tmp is writable."""
    refused = json.loads(image.python(WRITE))
    assert {code for _, code in refused} <= {"EROFS", "EACCES"}
    assert len(refused) == 6


def test_decoders_can_restrict_themselves(image: BuiltImage) -> None:
    """The container has no capabilities and a seccomp filter of its own, as RuntimeDefault gives it."""
    program = "import consumer.sandbox.restrictions as r; print(r.restrict(10**9), flush=True)"
    active = image.python(program)
    missing = [] if landlock.kernel_version() else ["landlock"]
    assert [name for name in PROTECTIONS if f"'{name}'" not in active] == missing


def test_build_secrets_are_not_in_the_image(image: BuiltImage) -> None:
    """The pip configuration and the certificate are secrets of the build."""
    program = "import glob; print(glob.glob('/etc/pip*') + glob.glob('/run/secrets/*') + glob.glob('/root/*'))"
    assert image.python(program, "--user", "0").strip() == "[]"
    history = image.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image.tag)
    assert "index-url" not in history
    assert str(ROOT) not in history


def test_its_arguments_select_the_process(image: BuiltImage) -> None:
    """`docker run IMAGE server` without settings names every required setting."""
    run = ("run", "--rm", "--network", "none")
    with pytest.raises(DockerFailed, match="REQUESTS_TABLE: "):
        image.docker(*run, image.tag, "server")
    with pytest.raises(DockerFailed, match="DLQ_URL: "):
        image.docker(*run, image.tag, "consumer", "reconcile")


def test_its_configuration(image: BuiltImage) -> None:
    """Entry point, ports, the signal for a graceful shutdown, title and name of the base."""
    configuration = image.configuration()["Config"]
    assert configuration["Entrypoint"] == ["python", "-m"]
    assert configuration["Cmd"] is None
    assert set(configuration["ExposedPorts"]) == {"50051/tcp", "9464/tcp"}
    assert configuration["StopSignal"] == "SIGTERM"
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.title"] == "imageservice"
    assert labels["org.opencontainers.image.base.name"] == image.base


def test_its_size_is_bounded(image: BuiltImage, figures: Figures) -> None:
    """Most of it is numpy, grpc, the service models of botocore, uvloop and Pillow."""
    added = image.added_bytes()
    figures.add_bytes("image, without its base", added)
    assert added < MAX_ADDED_BYTES

"""What is in the image, and what is not."""

import json
import re

import pytest

from cluster.image.built_image import ROOT, BuiltImage
from cluster.image.docker import DockerFailed
from cluster.image.figures import Figures

# The first test of a run builds the image, and once a base for it.
pytestmark = pytest.mark.timeout(900)

NOBODY = 65532
LARGEST_ADDED_BYTES = 200_000_000

FOUND = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] or {names} if importlib.util.find_spec(name)]))
"""
DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps({each.name: each.version for each in importlib.metadata.distributions()}))
"""
WALK = """
import importlib.util, json, os, stat
told = {"privileged": [], "writable": [], "not compiled": []}
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev", "/tmp")):
        continue
    for name in names:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            told["privileged"].append(path)
        if not folder.startswith(("/venv", "/app")):
            continue
        if os.access(path, os.W_OK):
            told["writable"].append(path)
        if path.endswith(".py") and not os.path.exists(importlib.util.cache_from_source(path)):
            told["not compiled"].append(path)
print(json.dumps(told))
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


def found(image: BuiltImage, *names: str) -> list[str]:
    """Those of the modules that the image's Python would import."""
    modules: list[str] = json.loads(image.python(FOUND.format(names=names)))
    return modules


def test_both_processes_are_in_and_nothing_for_people_or_tests(image: BuiltImage) -> None:
    """The embedded AWS and the load's origin never enter, nor what they need."""
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
    assert found(image, *wanted, *unwanted) == list(wanted)


def test_it_holds_the_versions_that_were_tested(image: BuiltImage) -> None:
    """Every distribution inside is one that constraints.txt pins, and two are ours."""
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
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_has_no_tool_to_build_install_or_fetch_with(image: BuiltImage) -> None:
    """Neither of ours nor of the base; apt itself is the base's own."""
    assert json.loads(image.python(TOOLS)) == []
    assert found(image, "pip", "ensurepip._bundled", "setuptools", "hatchling") == []


def test_it_runs_as_nobody_in_particular(image: BuiltImage) -> None:
    """By number, which Kubernetes can tell from root; and no program in the image gains rights."""
    assert image.configuration()["Config"]["User"] == f"{NOBODY}:{NOBODY}"
    ids = json.loads(image.python("import os; print([*os.getresuid(), *os.getresgid()])"))
    assert set(ids) == {NOBODY}


def test_its_files_are_plain_readable_and_compiled(image: BuiltImage) -> None:
    """Nothing of it can be changed by its own user, and a start compiles nothing."""
    assert json.loads(image.python(WALK)) == {"privileged": [], "writable": [], "not compiled": []}


def test_it_works_on_a_root_that_cannot_be_written(image: BuiltImage) -> None:
    """What is written goes to /tmp."""
    refused = json.loads(image.python(WRITE))
    assert {code for _, code in refused} <= {"EROFS", "EACCES"}
    assert len(refused) == 6


def test_nothing_of_the_machine_that_built_it_is_left(image: BuiltImage) -> None:
    """Neither pip's configuration nor the certificate, which are secrets of the build."""
    left = "import glob; print(glob.glob('/etc/pip*') + glob.glob('/run/secrets/*') + glob.glob('/root/*'))"
    assert image.python(left, "--user", "0").strip() == "[]"
    history = image.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image.tag)
    assert "index-url" not in history
    assert str(ROOT) not in history


def test_its_arguments_are_the_process(image: BuiltImage) -> None:
    """`docker run IMAGE server` with nothing set names every setting that it needs."""
    run = ("run", "--rm", "--network", "none")
    with pytest.raises(DockerFailed, match="REQUESTS_TABLE: "):
        image.docker(*run, image.tag, "server")
    with pytest.raises(DockerFailed, match="DLQ_URL: "):
        image.docker(*run, image.tag, "consumer", "reconcile")


def test_it_tells_an_operator_how_to_run_it(image: BuiltImage) -> None:
    """Entry point, ports, the signal that drains, and what it is and was built on."""
    configuration = image.configuration()["Config"]
    assert configuration["Entrypoint"] == ["python", "-m"]
    assert configuration["Cmd"] is None
    assert set(configuration["ExposedPorts"]) == {"50051/tcp", "9464/tcp"}
    assert configuration["StopSignal"] == "SIGTERM"
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.title"] == "imageservice"
    assert labels["org.opencontainers.image.base.name"] == image.base


def test_it_stays_small(image: BuiltImage, figures: Figures) -> None:
    """Most of it is grpc, botocore's descriptions of AWS, uvloop and Pillow."""
    added = image.added_bytes()
    figures.add_bytes("image, over its base", added)
    assert added < LARGEST_ADDED_BYTES

"""The file of private origins: faults are reported, all at once, and without a secret."""

from pathlib import Path

import pytest

from consumer.private_origins.file import FaultyFile, read_private_origins
from core.model.origin_url import parse_origin_url

SECRET = "hunter2-hunter2"
ORIGIN = '[[origins]]\nname = "a"\nhosts = ["a.example"]\ncustomers = ["acme"]\n'


def faults_of(folder: Path, text: str) -> tuple[str, ...]:
    file = folder / "origins.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FaultyFile) as faulty:
        read_private_origins(file)
    assert SECRET not in str(faulty.value)
    assert SECRET not in repr(faulty.value.__cause__) + repr(faulty.value.__context__)
    return faulty.value.faults


def headers_of(folder: Path, *lines: str) -> dict[str, str]:
    file = folder / "origins.toml"
    file.write_text(ORIGIN + "\n".join(lines), encoding="utf-8")
    read = read_private_origins(file)
    assert SECRET not in repr(read) + str(read)
    url = parse_origin_url("https://a.example/")
    return dict(read.private_origins.headers_for(url, "acme"))


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        (f'bearer = "{SECRET}"', {"Authorization": f"Bearer {SECRET}"}),
        # RFC 7617, section 2
        (
            'basic = { user = "Aladdin", password = "open sesame" }',
            {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        ),
        (f'headers = {{ X-Api-Key = "{SECRET}" }}', {"X-Api-Key": SECRET}),
        (f'headers = {{ Cookie = "session={SECRET}" }}', {"Cookie": f"session={SECRET}"}),
        ('user_agent = "acme importer"', {"User-Agent": "acme importer"}),
        ('referer = "https://shop.example/"', {"Referer": "https://shop.example/"}),
    ],
)
def test_each_kind_of_credential_is_a_header(
    tmp_path: Path, line: str, headers: dict[str, str]
) -> None:
    assert headers_of(tmp_path, line) == headers


@pytest.mark.parametrize(
    "line",
    [
        "",
        f'bearer = "{SECRET}\\r\\nX-Other: 1"',
        f'bearer = "{SECRET}é"',
        f'bearer = " {SECRET}"',
        'bearer = ""',
        f'bearer = "{SECRET * 400}"',
        f'bearer = "{SECRET}"\nbasic = {{ user = "a", password = "{SECRET}" }}',
        f'bearer = "{SECRET}"\nheaders = {{ authorization = "{SECRET}" }}',
        f'user_agent = "{SECRET}"\nheaders = {{ User-agent = "{SECRET}" }}',
        f'basic = {{ user = "a:b", password = "{SECRET}" }}',
        f'basic = {{ user = "a" }}\nbearer = "{SECRET}"',
        f'tokn = "{SECRET}"',
        f'bearer = ["{SECRET}"]',
        *(
            f'headers = {{ "{name}" = "{SECRET}" }}'
            for name in ("Host", "content-length", "Connection", "Transfer-Encoding", "TE", "Range")
        ),
        *(
            f'headers = {{ "{name}" = "{SECRET}" }}'
            for name in (
                "Accept-Encoding",
                "If-None-Match",
                "Proxy-Authorization",
                "a b",
                "a:",
                "é",
            )
        ),
        *(
            f'bearer = "{SECRET}"\n{member}'
            for member in ("port = 0", "port = 65536", 'path_prefix = "a"', 'path_prefix = ""')
        ),
    ],
)
def test_a_faulty_entry_is_reported_without_its_values(tmp_path: Path, line: str) -> None:
    faults = faults_of(tmp_path, ORIGIN + line)
    assert all(fault.startswith("origins.0") for fault in faults)


@pytest.mark.parametrize(
    "host",
    [
        *("", "*", "*.", "a.*.example", "*a.example", "*.10.0.0.1", "*.[::1]", "0x7f.1"),
        *("https://a.example", "user@a.example", "a.example:443", "a/b", "a b"),
    ],
)
def test_a_host_is_a_name_or_all_names_below_one(tmp_path: Path, host: str) -> None:
    text = f'[[origins]]\nname="a"\nhosts=["{host}"]\ncustomers=["acme"]\nbearer="{SECRET}"'
    assert faults_of(tmp_path, text)[0].startswith("origins.0.hosts.0: ")


def test_an_international_host_is_compared_as_it_is_looked_up(tmp_path: Path) -> None:
    file = tmp_path / "origins.toml"
    file.write_text(
        '[[origins]]\nname="a"\nhosts=["*.MÜNCHEN.example"]\ncustomers=["*"]\nbearer="b"', "utf-8"
    )
    origins = read_private_origins(file).private_origins
    for host in ("a.münchen.example", "a.xn--mnchen-3ya.example"):
        assert origins.headers_for(parse_origin_url(f"https://{host}/"), "acme")


@pytest.mark.parametrize(
    "table",
    [
        'bucket = "UPPER"\nprefixes = [""]\ncustomers = ["*"]',
        'bucket = "10.0.0.1"\nprefixes = [""]\ncustomers = ["*"]',
        'bucket = "uploads"\nprefixes = []\ncustomers = ["*"]',
        'bucket = "uploads"\nprefixes = [""]\ncustomers = []',
        'bucket = "uploads"\nprefixes = [""]\ncustomers = ["a b"]',
        'bucket = "uploads"\nprefixes = [""]',
    ],
)
def test_a_faulty_bucket_is_reported(tmp_path: Path, table: str) -> None:
    assert all(
        fault.startswith("buckets.0") for fault in faults_of(tmp_path, f"[[buckets]]\n{table}")
    )


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    faults = faults_of(
        tmp_path, f'{ORIGIN}bearer = "{SECRET}é"\nport = 0\n[[buckets]]\nbucket = "x"'
    )
    assert len(faults) == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'bearer = "{SECRET}', "it is not TOML"),
        (f"{SECRET}", "it is not TOML"),
        ('path = "/"', "Extra inputs"),
        (f"{ORIGIN}bearer = 'a'\n{ORIGIN}bearer = 'b'", "the same name"),
        ("#" * 1_048_577, "larger than"),
        ("a = " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    (fault,) = faults_of(tmp_path, text)
    assert reason in fault


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(FaultyFile, match=str(path)):
            read_private_origins(path)
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(FaultyFile, match="not UTF-8"):
        read_private_origins(tmp_path / "binary.toml")


def test_the_file_of_the_guide_is_valid(tmp_path: Path) -> None:
    """docs/howto/add-a-private-origin.md shows every member."""
    guide = Path(__file__).parents[4] / "docs" / "howto" / "add-a-private-origin.md"
    lines = guide.read_text("utf-8").partition("1. **File.**")[2].partition("2. **")[0].splitlines()
    file = tmp_path / "origins.toml"
    file.write_text("\n".join(line.strip() for line in lines if line.startswith("       ")))
    read = read_private_origins(file)
    assert ([table.name for table in read.origins], len(read.buckets)) == (["shop", "archive"], 1)

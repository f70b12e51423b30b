"""Settings that are URLs of a host: their errors, which never contain the password."""

import pytest

from core.model.origin_url import has_host
from core.search.settings import SearchSettings
from core.settings import load


@pytest.mark.parametrize(
    ("url", "names_one"),
    [
        ("https://search.example", True),
        ("https://name:pa%2Fss@search.example:9200/prefix", True),
        ("redis://10.0.0.1:6379/0", True),
        ("https://", False),
        ("https://:9200", False),
        ("https://search.example:0", False),
        ("https://search.example:99999", False),
        ("https://name:s3cret#x@search.example:9200", False),
        ("https://name:s3cret/x@search.example:9200", False),
        ("https://[::1", False),
    ],
)
def test_a_url_names_a_host_or_not(url: str, names_one: bool) -> None:
    """A password with signs of URLs in it hides the host."""
    assert has_host(url) is names_one


def test_no_part_of_a_password_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with the setting ends in logs."""
    monkeypatch.setenv("SEARCH_URL", "https://name:s3cret#x@search.example:9200")
    with pytest.raises(SystemExit):
        load(SearchSettings)
    printed = capsys.readouterr().err
    assert printed.startswith("SEARCH_URL: ")
    assert "percent-encoded" in printed
    assert "s3cret" not in printed

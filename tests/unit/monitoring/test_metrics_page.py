"""The page of metrics leaves none out."""

import re
from pathlib import Path

from cluster.dashboards.rules import ROOT
from cluster.dashboards.series import defined, ours

PAGE = ROOT / "docs" / "metrics.md"
PARTS = ("_sum", "_count", "_bucket")


def test_every_metric_of_the_code_is_on_the_page() -> None:
    """Its generator goes through modules by hand; a metric in another module would be missed in silence."""
    told = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(told) == sorted(defined())


def test_dashboards_may_ask_for_every_metric_of_the_code() -> None:
    """What the sources define is what importing their modules brings."""
    names = {re.sub(f"({'|'.join(PARTS)})$", "", name) for name in ours()}
    assert {name for name in names if not name.startswith(("process_", "python_"))} == set(
        defined()
    )


def test_a_metric_in_a_new_module_is_found(tmp_path: Path) -> None:
    """However deep, and however the call is broken into lines; a counter of another kind is none."""
    module = tmp_path / "consumer" / "deep" / "new.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        'NEW = Counter(\n    "new_total", "New.", ["kind"]\n)\nheld = Counter()\n', encoding="utf-8"
    )
    assert defined(tmp_path) == {"new_total": "consumer.deep.new"}

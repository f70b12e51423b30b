"""docs/metrics.md lists every metric."""

import re
from pathlib import Path

from cluster.dashboards.rules import ROOT
from cluster.dashboards.series import defined, ours

PAGE = ROOT / "docs" / "metrics.md"
PARTS = ("_sum", "_count", "_bucket")


def test_every_metric_of_the_code_is_on_the_page() -> None:
    """The generator has a list of modules. A metric in another module would be missed silently."""
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(defined())


def test_every_metric_of_the_code_is_known() -> None:
    """The metrics that the sources define are those that importing the modules registers."""
    names = {re.sub(f"({'|'.join(PARTS)})$", "", name) for name in ours()}
    assert {name for name in names if not name.startswith(("process_", "python_"))} == set(
        defined()
    )


def test_a_metric_in_a_new_module_is_found(tmp_path: Path) -> None:
    """It is found at any depth and with any line breaks. A collections.Counter is not a metric."""
    module = tmp_path / "consumer" / "deep" / "new.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        'NEW = Counter(\n    "new_total", "New.", ["kind"]\n)\nheld = Counter()\n', encoding="utf-8"
    )
    assert defined(tmp_path) == {"new_total": "consumer.deep.new"}

"""Write the JSON of the dashboards, or with --check report the files that are stale."""

import sys
from pathlib import Path

from k8s.components.monitoring.generator.consumer import CONSUMER
from k8s.components.monitoring.generator.dependencies_and_cost import DEPENDENCIES_AND_COST
from k8s.components.monitoring.generator.lanes_and_origins import LANES_AND_ORIGINS
from k8s.components.monitoring.generator.overview import OVERVIEW
from k8s.components.monitoring.generator.queue_and_scaling import QUEUE_AND_SCALING
from k8s.components.monitoring.generator.read_side import READ_SIDE
from k8s.components.monitoring.generator.server import SERVER

FOLDER = Path(__file__).parents[1] / "dashboards"
DASHBOARDS = (
    OVERVIEW,
    SERVER,
    READ_SIDE,
    CONSUMER,
    LANES_AND_ORIGINS,
    QUEUE_AND_SCALING,
    DEPENDENCIES_AND_COST,
)


def main(arguments: list[str]) -> int:
    texts = {FOLDER / f"{each.name}.json": each.text() for each in DASHBOARDS}
    if arguments == ["--check"]:
        existing = set(FOLDER.glob("*.json"))
        stale = [
            path.name
            for path in sorted(existing | set(texts))
            if path not in existing or path.read_text(encoding="utf-8") != texts.get(path)
        ]
        if stale:
            sys.stderr.write(f"stale: {', '.join(stale)}; run `make dashboards`\n")
        return 1 if stale else 0
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Text of a run: counts by class, what needs attention, and what changed since an earlier run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from corpora.location import LocationCheck
from corpora.verdicts import COMPLETED, FAULTS, Verdict

_SLOW_S = 5.0
_TOTAL = "all"


def counts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Return a table with a row for each source and a column for each outcome."""
    cells = Counter((each.source, each.outcome) for each in verdicts)
    cells.update((_TOTAL, each.outcome) for each in verdicts)
    outcomes = sorted(
        {each.outcome for each in verdicts}, key=lambda name: (name != COMPLETED, name)
    )
    sources = [*dict.fromkeys(each.source for each in verdicts), _TOTAL]
    yield f"{'source':24}" + "".join(f"{name:>{_width(name)}}" for name in outcomes)
    for source in sources:
        row = "".join(f"{cells[source, name] or '':>{_width(name)}}" for name in outcomes)
        yield f"{source:24}{row}"


def _width(name: str) -> int:
    return max(len(name), 5) + 2


def attention(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Return a line for each crash, limit, time-out, error of ours, and slow image."""
    for each in verdicts:
        if each.outcome in (*FAULTS, "DECODE_LIMIT") or each.seconds > _SLOW_S:
            yield f"{each.outcome} {each.source}: {each.name} ({each.seconds:.1f} s) {each.detail}"


def details(verdicts: Iterable[Verdict], outcome: str) -> Iterator[str]:
    """Return a line for each verdict with this outcome."""
    for each in verdicts:
        if each.outcome == outcome:
            facts = " ".join(f"{name}={value}" for name, value in each.facts.items())
            yield f"{each.source}: {each.name}: {each.detail}{facts}"


def changes(earlier: Iterable[Verdict], now: Sequence[Verdict]) -> Iterator[str]:
    """Return how many outcomes changed, and a line for each changed outcome and metadata since an earlier run."""
    before = {(each.source, each.name): each for each in earlier}
    pairs = [
        (old, each) for each in now if (old := before.get((each.source, each.name))) is not None
    ]
    moved = [(old, new) for old, new in pairs if old.outcome != new.outcome]
    for change, count in Counter(f"{old.outcome} -> {new.outcome}" for old, new in moved).items():
        yield f"{count} x {change}"
    for old, new in moved:
        yield f"{old.outcome} -> {new.outcome} {new.source}: {new.name} {new.detail}"
    for old, new in pairs:
        for name in sorted(old.facts.keys() & new.facts.keys()):
            if old.facts[name] != new.facts[name]:
                change = f"{old.facts[name]} -> {new.facts[name]}"
                yield f"{name} {change} {new.source}: {new.name}"


def locations(found: LocationCheck) -> Iterator[str]:
    """Return a line for each image about which exiftool and the service differ, and a summary."""
    for kind, findings in (
        ("LEAK", found.leaks),
        ("UNREPORTED", found.unreported),
        ("only the service finds a location:", found.unseen),
    ):
        for each in findings:
            yield f"{kind} {each.source}: {each.name} {', '.join(each.tags)}"
    yield (
        f"exiftool: of {found.checked} published images {len(found.leaks)} have a location; "
        f"{len(found.unreported)} had one that is not reported; "
        f"of {found.removed} that tell it finds {found.removed - len(found.unseen)}"
    )

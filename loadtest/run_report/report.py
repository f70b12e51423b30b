"""Render a record as one self-contained HTML page and one image."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from loadtest.run_report import plots
from loadtest.run_report.record import Cell, LatencySummary, RunRecord, Table
from loadtest.run_report.thinning import thinned

POINTS = 400
"""Points on the time axis of a plot. More could not be distinguished."""

_WHOLE_FROM = 10_000
"""Figures from this value on are shown without decimals."""

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1e293b; background: #f8fafc; margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 34px 0 10px; }
.where { color: #64748b; margin: 0 0 18px; font-size: 13.5px; }
.verdict { border-left: 5px solid #059669; background: #ecfdf5; padding: 10px 16px; border-radius: 4px; }
.verdict.failed { border-color: #dc2626; background: #fef2f2; }
.verdict p { margin: 2px 0; overflow-wrap: anywhere; } .verdict b { font-size: 16px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); gap: 10px; margin: 18px 0; }
.figures div { background: #fff; border: 1px solid #e2e8f0; border-radius: 8px; padding: 9px 13px; }
.figures b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
.figures span, .note { color: #64748b; font-size: 12.5px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { padding: 4px 13px; border-bottom: 1px solid #e2e8f0; text-align: right; }
th { color: #64748b; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 14px; }
.plots figure { background: #fff; border: 1px solid #e2e8f0; border-radius: 8px; margin: 0; padding: 8px; }
svg { width: 100%; height: auto; display: block; } svg text { font-family: system-ui, sans-serif !important; }
"""


def render(json_file: Path) -> tuple[Path, Path]:
    """Write an HTML page and a PNG beside the JSON of a record, and return their paths. Requires matplotlib.

    Raises OSError, or ValueError, LookupError or TypeError for a file that is not a record.
    """
    record = RunRecord.from_json(json_file)
    html, image = json_file.with_suffix(".html"), json_file.with_suffix(".png")
    html.write_text(page(record), encoding="utf-8")
    image.write_bytes(png(record))
    return html, image


def png(record: RunRecord) -> bytes:
    """Return all plots as one image."""
    thin = thinned(record, POINTS)
    verdict = "passed" if record.verdict.passed else "FAILED"
    return plots.png(record.heading.title, f"{verdict}; {_where(record)}", thin.timeline)


def page(record: RunRecord) -> str:
    """Return a page without external resources, under 500 KB however long the run was."""
    thin = thinned(record, POINTS)
    heading = record.heading
    drawn = (plots.svg(plot, thin.timeline.seconds) for plot in plots.plots(thin.timeline))
    parts = [
        f"<h1>{escape(heading.title)}</h1>",
        f'<p class="where">{escape(_where(record))}</p>',
        _verdict(record),
        _figures(record),
        _table(_latency_table(record)) if record.latencies else "",
        *(_table(table) for table in record.tables),
        _table(_error_table(record)) if record.errors else "",
        '<h2>Over time</h2><div class="plots">',
        *(f"<figure>{element}</figure>" for element in drawn),
        "</div>",
        _table(Table("Settings", ("setting", "value"), tuple(heading.settings.items()))),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(heading.title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _where(record: RunRecord) -> str:
    heading = record.heading
    return f"{heading.started}, {_duration(record.seconds)}; commit {heading.commit}; {heading.machine}"


def _verdict(record: RunRecord) -> str:
    verdict = record.verdict
    kind, word = ("", "Passed") if verdict.passed else (" failed", "Failed")
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict.sentences)
    return f'<div class="verdict{kind}"><b>{word}</b>{sentences}</div>'


def _figures(record: RunRecord) -> str:
    tiles = (
        f"<div><b>{_number(value)}</b><span>{escape(name)}</span></div>"
        for name, value in record.totals.items()
    )
    return f'<div class="figures">{"".join(tiles)}</div>'


def _latency_table(record: RunRecord) -> Table:
    columns = ("stage", "count", "mean", "p50", "p90", "p99", "p99.9", "max")
    rows = tuple((stage, *_latency_row(one)) for stage, one in record.latencies.items())
    return Table("Latency in milliseconds", columns, rows)


def _latency_row(one: LatencySummary) -> Sequence[Cell]:
    return (one.count, one.mean, one.p50, one.p90, one.p99, one.p999, one.max)


def _error_table(record: RunRecord) -> Table:
    return Table("Errors by reason", ("reason", "count"), tuple(record.errors.items()))


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{_cells(row)}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide">'
        f"<table><tr>{head}</tr>{rows}</table></div>{note}"
    )


def _cells(row: Iterable[Cell]) -> str:
    return "".join(f"<td>{_number(cell)}</td>" for cell in row)


def _number(value: Cell) -> str:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:,.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"

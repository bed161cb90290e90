"""A report as ONE HTML file: sliders for the targets that judge every request anew, charts, tables, where it is from.

Self-contained: style and script are in it, nothing is loaded from anywhere, so that it can be mailed and kept. What
can be said without a script (tables of figures, where they come from) is there without one. Remote text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.reports.entry import Entry, Report
from pdctl.bench.reports.improvements import improvement_cells, versus
from pdctl.bench.reports.page_data import itl_steps, page_data, ttft_steps
from pdctl.bench.reports.summary import Summary, summaries, warnings
from pdctl.bench.reports.words import amount, seconds, share
from pdctl.bench.runs.meta import RunMeta

_SCRIPTS = ("judge.js", "chart.js", "page.js")
_LATENCIES = (
    ("e2el_median", "median E2EL"),
    ("ttft_median", "median TTFT"),
    ("ttft_p99", "P99 TTFT"),
    ("tpot_median", "median TPOT"),
    ("itl_p99", "P99 ITL"),
)


def html_page(report: Report, *, title: str) -> str:
    """The file's text."""
    body = "\n".join(
        (
            _header(report, title),
            _controls(report),
            "<main>",
            '<div class="cards" id="cards"></div>',
            _requests(),
            _charts(),
            *_improvements(report),
            *_figures(report),
            _origins(report),
            "</main>",
            '<div id="tip" hidden></div>',
            f'<script type="application/json" id="data">{page_data(report)}</script>',
            *(f"<script>\n{_part(name)}</script>" for name in _SCRIPTS),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{_part('page.css')}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _part(name: str) -> str:
    return files("pdctl.bench.reports").joinpath("page", name).read_text()


def _header(report: Report, title: str) -> str:
    lines = [f'<p class="quiet small">{escape(_said(where, meta))}</p>' for where, meta in report.meta.items()]
    missing = len(report.unmeasured)
    if missing:
        named = escape(", ".join(report.unmeasured[:6]) + (" and others" if missing > 6 else ""))
        lines.append(f'<p class="warn small">Not wholly measured, and not shown: {named}</p>')
    return f"<header>\n<h1>{escape(title)}</h1>\n" + "\n".join(lines) + "\n</header>"


def _said(where: str, meta: RunMeta) -> str:
    commit = f" ({meta.commit[:10]})" if meta.commit else ""
    inventory = f", inventory {meta.inventory_digest[:12]}" if meta.inventory_digest else ""
    driver = meta.definition.driver
    return f"{where}: {meta.started}, driver {driver}, pdctl {meta.pdctl}{commit}, from {meta.host.name}{inventory}"


def _controls(report: Report) -> str:
    ttft, itl = ttft_steps(report), itl_steps(report)
    scenarios = "".join(f"<option>{escape(name)}</option>" for name in report.scenarios)
    p99, tpot = ("checked", "") if report.criterion is Criterion.P99_ITL else ("", "checked")
    return f"""<div class="controls"><form>
{_slider("ttft", "TTFT at most", len(ttft) - 1, ttft.index(report.slo.ttft_s))}
{_slider("itl", "ITL at most", len(itl) - 1, itl.index(report.slo.itl_s))}
{_slider("share", "of all requests", 100, round(report.slo.attainment * 100))}
<fieldset class="control narrow"><legend>ITL of a request is</legend><span class="choice">
<label><input type="radio" name="criterion" value="p99-itl" {p99}>its P99</label>
<label><input type="radio" name="criterion" value="tpot" {tpot}>its mean (TPOT)</label></span></fieldset>
<div class="control narrow"><label for="scenario">Scenario</label><select id="scenario">{scenarios}</select></div>
</form></div>"""


def _slider(name: str, label: str, highest: int, at: int) -> str:
    return (
        f'<div class="control"><label for="{name}"><span>{label}</span><output id="{name}-now"></output></label>'
        f'<input type="range" id="{name}" min="0" max="{highest}" value="{at}"></div>'
    )


def _requests() -> str:
    return """<section><div class="head"><h2>Requests one by one</h2>
<label class="quiet small">at <select id="load"></select></label></div>
<p class="quiet small">One cell a request, in the order in which they were offered.</p>
<div id="strips"></div><div class="legend" id="kinds"></div></section>"""


def _charts() -> str:
    options = "".join(f'<option value="{value}">{words}</option>' for value, words in _LATENCIES)
    legend = '<div class="legend of-series"></div>'
    return f"""<div class="pair">
<section><h2>SLO attainment over load</h2><div id="attainment"></div>{legend}</section>
<section><h2>Goodput over load</h2><div id="goodput"></div>{legend}</section>
<section><div class="head"><h2>Latency and throughput</h2><select id="latency-of">{options}</select></div>
<div id="latency"></div>{legend}<p class="quiet small">Upper left is better.</p></section>
<section><h2>Pareto front</h2><div id="pareto"></div>{legend}
<p class="quiet small">Upper right is better; the dashed line joins what nothing else beats in both.</p></section>
</div>"""


_LATENCY_HEADS = ("TTFT p50", "TTFT p99", "ITL p99", "TPOT p50", "E2EL p50", "E2EL p99")
_HEADS = ("deployment", "load", "seeds", "ok", "failed", "met SLO", *_LATENCY_HEADS, "tokens/s", "TPSU", "TPSG")


def _figures(report: Report) -> Iterator[str]:
    """A table a scenario; the cell of the attainment is what the script keeps up to date."""
    places = {group[0].place: number for number, group in enumerate(report.groups)}
    for scenario in report.scenarios:
        told = [each for each in summaries(report) if each.scenario == scenario]
        rows = [_row(each, places[each.deployment, each.scenario, each.load.name]) for each in told]
        doubts = "".join(f'<p class="warn small">{escape(text)}</p>' for text in warnings(told))
        yield (
            f'<section data-scenario="{escape(scenario)}"><h2>Figures, {escape(scenario)}</h2>'
            f'<div class="scroll">{table(_HEADS, rows, left=2)}</div>{doubts}</section>'
        )


def _improvements(report: Report) -> Iterator[str]:
    """As Moreh's report: a table a metric, with geometric means; nothing of one deployment."""
    tables = []
    for compared in versus(report):
        metric = compared[0].metric
        rows, means = improvement_cells(compared)
        better = "higher is better" if metric.higher_is_better else "lower is better"
        marked = [_cells(cells, "") for cells in rows[1:]] + [_cells(cells, ' class="sum"') for cells in means]
        tables.append(
            f'<h3>{escape(metric.title)} <span class="quiet">({better})</span></h3>'
            f'<div class="scroll">{table(rows[0], marked, left=2)}</div>'
        )
    if tables:
        doubt = "above 1x is better; a ratio with ? is within the noise of the seeds (95 %)"
        base = escape(report.deployments[0])
        least = 18 + 15 * (len(report.deployments) - 1)
        shown = "".join(f"<div>{each}</div>" for each in tables)
        yield (
            f'<section><h2>Improvements over {base}</h2><p class="quiet small">{doubt}</p>'
            f'<div class="tables" style="--least:{least}rem">{shown}</div></section>'
        )


def _cells(words: Sequence[str], marks: str) -> str:
    return f"<tr{marks}>{''.join(f'<td{_left(at)}>{escape(word)}</td>' for at, word in enumerate(words))}</tr>"


def _left(column: int) -> str:
    return ' class="l"' if column < 2 else ""


def _row(each: Summary, place: int) -> str:
    cells = [
        f'<td class="l"><a href="#p{place}">{escape(each.deployment)}</a></td>',
        f'<td class="l">{escape(each.load.name)}</td>',
        f"<td>{len(each.seeds)}</td><td>{each.ok}</td><td>{each.failed}</td>",
        f'<td data-attainment-of="{place}">{share(each.attainment)}</td>',
    ]
    latencies = (
        each.ttft_median_s,
        each.ttft_p99_s,
        each.itl_p99_s,
        each.tpot_median_s,
        each.e2el_median_s,
        each.e2el_p99_s,
    )
    cells += [f"<td>{seconds(value)}</td>" for value in latencies]
    cells += [f"<td>{amount(value)}</td>" for value in (each.tps_total, each.tpsu, each.tpsg)]
    return f"<tr>{''.join(cells)}</tr>"


def _origins(report: Report) -> str:
    """Every point's file of rows: what its figures can be computed from again."""
    rows = [
        f'<tr{_anchor(number, entry, group)}><td class="l">{escape(entry.id)}</td><td>{len(entry.requests)}</td>'
        f'<td class="w"><code>{escape(entry.origin.path)}</code></td>'
        f'<td class="w"><code>{escape(entry.origin.sha256)}</code></td></tr>'
        for number, group in enumerate(report.groups)
        for entry in group
    ]
    heads = ("point", "rows", "file", "SHA-256")
    return (
        '<section><details open><summary><h2 style="display:inline">Where every figure comes from</h2></summary>'
        '<p class="quiet small">One request a line; a cell above names its line.</p>'
        f'<div class="scroll">{table(heads, rows, left=1)}</div></details></section>'
    )


def _anchor(number: int, entry: Entry, group: Sequence[Entry]) -> str:
    return f' id="p{number}"' if entry is group[0] else ""


def table(heads: Sequence[str], rows: Iterable[str], *, left: int = 1) -> str:
    """Rows are markup already; the first `left` heads stand to the left."""
    head = "".join(
        f'<th scope="col"{" class=l" if number < left else ""}>{escape(name)}</th>' for number, name in enumerate(heads)
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"

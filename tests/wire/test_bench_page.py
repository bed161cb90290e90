"""The page of a report in a real browser: its sliders judge as Python does, and it needs no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.verdict import met
from pdctl.bench.reports.page import html_page
from pdctl.bench.reports.page_data import itl_steps, ttft_steps
from pdctl.bench.reports.reading import read_report
from pdctl.bench.row import Row
from pdctl.model.deployment import Slo
from tests.bench_report import good, mixed_rows, run_directory
from tests.tui.browser import Page, browse, program
from tests.waiting import wait_until

CELL = "document.querySelector('[data-attainment-of=\"0\"]').dataset.attainment"
STRIP = "document.querySelector('.strip').dataset.met"


async def slide(page: Page, name: str, stop: int) -> None:
    """Move a slider as a hand would."""
    await page.ask(
        f"(s => {{s.value = {stop}; s.dispatchEvent(new Event('input'))}})(document.getElementById('{name}'))"
    )


def rows() -> list[Row]:
    """Requests between 0.1 and 4 s of TTFT, with paces of 10 to 160 ms, and some of every other kind."""
    spread = [
        good(n, ttft_s=0.1 * (n + 1), gaps_s=(0.02, 0.004 * (n + 1)), e2el_s=0.1 * (n + 1) + 0.02 + 0.004 * (n + 1))
        for n in range(6, 40)
    ]
    return [*mixed_rows("<b>&amp;"), *spread]


@pytest.mark.skipif(program() is None, reason="no Chromium here (Debian: apt install chromium)")
@pytest.mark.slow
async def test_a_slider_that_moves_judges_every_request_as_python_does(tmp_path: Path) -> None:
    path = run_directory(tmp_path / "run", {("shaky", "r2", 0): rows()})
    report = read_report([path])
    file = tmp_path / "page.html"
    file.write_text(html_page(report, title="Shaky"))
    seen = set()
    async with browse(file.as_uri(), tmp_path / "browser") as page:
        await wait_until(lambda: page.ask(f"document.readyState === 'complete' && {CELL} !== undefined"), 20)
        for criterion in Criterion:
            await page.ask(f"document.querySelector('input[value=\"{criterion.value}\"]').click()")
            for ttft_s, itl_s in ((1.0, 0.05), (0.2, 0.05), (4.0, 0.08), (2.2, 0.1), (100.0, 10.0), (0.01, 0.001)):
                await slide(page, "ttft", ttft_steps(report).index(ttft_s))
                await slide(page, "itl", itl_steps(report).index(itl_s))
                wanted = [each for each in rows() if met(each, Slo(ttft_s, itl_s, 0.9), criterion)]
                assert float(await page.ask(CELL)) == len(wanted) / len(rows())
                assert await page.ask(STRIP) == str(len(wanted))
                seen.add(len(wanted))
        loaded = await page.ask("performance.getEntriesByType('resource').length")
    assert loaded == 0
    assert len(seen) > 5

"""The page as a browser shows it, on a desktop and on a phone."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantattack.report.page import render, write_page

from .deployed_runs import deployed_run
from .signal_runs import attack_run, diagnose, signal_run

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = (1280, 390)  # a desktop and a phone
HEIGHT = 1500
# The page itself holds no script and forbids any; the copy that is measured has its ban lifted and this one added.
MEASURE = """<script>
addEventListener("load", () => {
  const boxes = (parts) => [...document.querySelectorAll(parts)].map((part) => part.getBoundingClientRect());
  const loose = [...document.querySelectorAll("body *")].filter((part) => !part.parentElement.closest(".scroll, svg"));
  parent.postMessage({
    inner: innerWidth,
    scroll: document.documentElement.scrollWidth,
    beyond: loose.filter((part) => part.getBoundingClientRect().right > innerWidth + 0.5).length,
    scrolled: [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth + 1).length,
    images: document.images.length,
    unseen: [...document.images].filter((image) => !image.naturalWidth).length,
    drawings: boxes("svg").length,
    places: boxes("svg").map((box) => [box.top, box.bottom, box.left, box.right]),
    height: document.documentElement.scrollHeight,
    letters: Math.min(...boxes("svg text").map((box) => Math.min(box.width, box.height))),
    clipped: [...document.querySelectorAll("svg")].filter((svg) => [...svg.querySelectorAll("text")].some((text) =>
      text.getBoundingClientRect().right > svg.getBoundingClientRect().right + 1)).length,
  }, "*");
});
</script>"""
LISTEN = "<script>onmessage = (event) => { document.title = JSON.stringify(event.data); }</script>"


@pytest.fixture(scope="module")
def chromium():
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.environ.get("QUANTATTACK_BROWSER") == "required":
        pytest.fail("QUANTATTACK_BROWSER=required, but there is no Chromium; install it with `make test-extras`")
    if found is None:
        pytest.skip("no Chromium here; `make test-extras` installs one")
    return found


@pytest.fixture
def browse(chromium, tmp_path):
    """Show a page in a frame of so many pixels: a headless window itself is no narrower than 500."""

    def show(text, width, *flags, height=HEIGHT):
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        style = f"border: 0; display: block; width: {width}px; height: {height}px"
        frame = tmp_path / "frame.html"
        frame.write_text(f'{LISTEN}<body style="margin: 0"><iframe src="page.html" style="{style}"></iframe></body>')
        window = f"--window-size={max(width, 800)},{height}"
        command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", window, *flags, frame.as_uri()]
        return subprocess.run(command, capture_output=True, timeout=600, check=True, text=True).stdout

    return show


@pytest.fixture(scope="module")
def signals_page(tmp_path_factory):
    """A page of signals: figures 2, 3 and 5 and the spectra, with the tables."""
    folder = tmp_path_factory.mktemp("signals") / "run"
    signal_run(folder).close()
    return write_page(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def diagnosed_page(tmp_path_factory):
    """A page of attacks on two networks, one of them with a diagnosis."""
    folder = tmp_path_factory.mktemp("diagnosed") / "run"
    store = attack_run({"pgd": ({"part": "Ascent", "steps": 40}, 20)}, folder)
    diagnose(store, store.subjects()[0])
    store.close()
    return write_page(folder).read_text(encoding="utf-8")


@pytest.fixture(params=WIDTHS)
def width(request):
    return request.param


def measure(browse, page, width):
    """Return what a browser says of a page's layout at a width."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    shown = browse(text.replace("</body>", MEASURE + "</body>"), width, "--virtual-time-budget=10000", "--dump-dom")
    return json.loads(unescape(re.search("<title>(.*?)</title>", shown).group(1)))


def check_fits(seen, width):
    assert seen["inner"] == seen["scroll"] == width
    assert seen["beyond"] == seen["unseen"] == seen["clipped"] == 0
    assert seen["letters"] > 4


def check_drawings(browse, page, width, seen, shot):
    """Take a picture of the whole page, and find ink where each figure is."""
    browse(page, width, f"--screenshot={shot}", height=seen["height"])
    dark = np.asarray(Image.open(shot).convert("L"))[: seen["height"], :width] < 160
    assert dark.shape == (seen["height"], width)
    for top, bottom, left, right in np.rint(seen["places"]).astype(int):
        assert 0.005 < dark[top:bottom, left:right].mean() < 0.5


def check_shot(browse, page, width, shot):
    browse(page, width, f"--screenshot={shot}")
    seen = np.asarray(Image.open(shot).convert("L"))[:HEIGHT, :width]
    assert seen.shape == (HEIGHT, width)
    ink = seen < 160
    assert 0.005 < ink.mean() < 0.5
    assert all(part.any() for part in np.array_split(ink, 8))  # no eighth of the height is empty
    assert not ink[:, :8].any()  # the margin at the left is kept


@pytest.mark.browser
def test_the_page_is_shown(browse, page, width, tmp_path):
    check_shot(browse, page, width, tmp_path / f"{width}.png")


@pytest.mark.browser
def test_the_page_fits_its_window(browse, page, width):
    seen = measure(browse, page, width)
    check_fits(seen, width)
    assert (seen["images"], seen["drawings"]) == (48, 13)


@pytest.mark.browser
def test_nothing_of_the_leaderboard_has_to_be_scrolled_to(browse, width):
    seen = measure(browse, (ROOT / "results" / "leaderboard.html").read_text(encoding="utf-8"), width)
    assert seen["inner"] == seen["scroll"] == width
    assert seen["beyond"] == seen["scrolled"] == 0


@pytest.mark.browser
def test_a_page_of_signals_is_shown_and_fits(browse, signals_page, width, tmp_path):
    seen = measure(browse, signals_page, width)
    check_fits(seen, width)
    assert seen["drawings"] == 5
    check_drawings(browse, signals_page, width, seen, tmp_path / f"signals-{width}.png")


@pytest.mark.browser
def test_a_page_with_a_diagnosis_is_shown_and_fits(browse, diagnosed_page, width, tmp_path):
    seen = measure(browse, diagnosed_page, width)
    check_fits(seen, width)
    assert seen["drawings"] == 2 * 4
    check_drawings(browse, diagnosed_page, width, seen, tmp_path / f"diagnosed-{width}.png")


@pytest.mark.browser
@pytest.mark.parametrize("wide", [1280, 1200, 390])
def test_the_table_of_deployed_models_has_room(browse, tmp_path, wide):
    page = render(deployed_run(), tmp_path).replace("Linf 2/255", "Linf 2/255 on 256 levels")
    table = re.search(r'<section aria-labelledby="deployed">.*?</section>', page, re.DOTALL).group(0)
    seen = measure(browse, re.sub(r"<main>.*</main>", lambda _: f"<main>{table}</main>", page, flags=re.DOTALL), wide)
    assert seen["inner"] == seen["scroll"] == wide
    assert seen["beyond"] == seen["scrolled"] == 0

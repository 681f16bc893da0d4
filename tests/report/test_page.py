import re
from html.parser import HTMLParser

import pytest

from quantattack.errors import InputError
from quantattack.record.store import Store
from quantattack.report.page import write_page
from quantattack.report.percent import percent
from quantattack.report.tables import headline, interval, robust_share, worst_share
from records import by_hand

from .conftest import IMAGES, MASKED, RUN, subject, write

VOID = {"meta", "br", "img", "link", "input", "hr"}
LINKS = {"https://arxiv.org/abs/2003.13511", "https://doi.org/10.2307/2276774"}


class Page(HTMLParser):
    """A page as a flat list of (tag, attributes, text within)."""

    def __init__(self, text):
        super().__init__()
        self.parts, self.open, self.unbalanced = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        part = [tag, dict(attributes), ""]
        self.parts.append(part)
        if tag not in VOID:
            self.open.append(part)

    def handle_startendtag(self, tag, attributes):
        self.parts.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.unbalanced.append(tag)
        else:
            self.open.pop()

    def handle_data(self, data):
        for part in self.open:
            part[2] += data

    def all(self, tag, **wanted):
        return [part for part in self.parts if part[0] == tag and wanted.items() <= part[1].items()]

    def texts(self, tag, **wanted):
        return [" ".join(part[2].split()) for part in self.all(tag, **wanted)]


@pytest.fixture
def parsed(page):
    return Page(page)


def rows(text, kind):
    """Return the cells' texts of each body row of the tables of a kind."""
    tables = re.findall(rf'<table class="{kind}">(.*?)</table>', text, flags=re.DOTALL)
    bodies = [table.split("<tbody>")[1] for table in tables]
    found = [[Page(f"<table>{row}</tr></table>") for row in body.split("<tr")[1:]] for body in bodies]
    return [[[part[2].strip() for part in row.parts if part[0] in ("td", "th")] for row in body] for body in found]


def test_every_tag_is_closed(parsed):
    assert parsed.unbalanced == []
    assert parsed.open == []


def test_ids_are_unique_and_links_lead_somewhere(parsed):
    ids = [part[1]["id"] for part in parsed.parts if part[1].get("id")]
    assert len(ids) == len(set(ids))
    anchors = [part[1]["href"] for part in parsed.all("a") if part[1]["href"].startswith("#")]
    assert anchors == ["#evaluation-1", "#evaluation-2", "#evaluation-3"]
    named = [name for part in parsed.parts for name in part[1].get("aria-labelledby", "").split()]
    assert {anchor[1:] for anchor in anchors} | set(named) <= set(ids)


def test_nothing_is_fetched(parsed, page):
    assert not parsed.all("script") + parsed.all("link") + parsed.all("iframe")
    for tag, attributes, _ in parsed.parts:
        for name in ("src", "href", "xlink:href", "srcset", "data", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,")) or (tag == "a" and value in LINKS), value
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page


def test_the_headline_has_the_right_numbers(parsed, records):
    assert parsed.texts("h1") == ["PGD's number cannot be trusted in 2 of 3 evaluations"]
    assert parsed.texts("span", **{"class": "big"}) == ["90.0%", "2.5%"]
    assert parsed.texts("p", **{"class": "lede"})[0] == headline(records[0])


def test_each_evaluation_has_its_headline_and_flags(parsed, records):
    assert parsed.texts("p", **{"class": "lede"})[1:] == [headline(record) for record in records]
    assert f"masked: {MASKED}" in parsed.texts("li")


def test_the_summary_has_the_records_numbers(page, records):
    (summary,) = rows(page, "summary")
    for row, record in zip(summary, records, strict=True):
        assert row[0].startswith(record.subject.model)
        assert row[1].startswith(percent(record.clean))
        assert row[2] == percent(record.robust("pgd")) + interval(robust_share(record, "pgd"))
        assert row[3] == percent(record.worst_case) + interval(worst_share(record))
        assert row[4] == f"{100 * record.masking_gap:.1f}"
    assert [row[5].split("flags")[0] for row in summary] == [
        *["PGD's number cannot be trusted"] * 2,
        "PGD is near the worst case",
    ]


def test_the_attacks_have_the_records_numbers(page, records):
    for table, record in zip(rows(page, "attacks"), records, strict=True):
        assert [row[0] for row in table] == [*record.attacks, "Worst case", "No attack"]
        for row, name in zip(table, record.attacks, strict=False):
            assert row[1:4] == [percent(record.robust(name)), interval(robust_share(record, name)), str(IMAGES)]
        assert table[-2][1] == percent(record.worst_case)
        assert table[-1][1] == percent(record.clean)


def test_the_pairs_have_the_counts(page):
    first = rows(page, "pairs")[0]
    assert first == [["pgd", "-", "0", "3"], ["pgd_plus_gap", "34", "-", "29"], ["square", "9", "1", "-"]]


def test_every_figure_has_its_marks(page):
    drawings = re.findall(r'<svg role="img".*?</svg>', page, flags=re.DOTALL)
    assert len(drawings) == 4 * 3 + 1
    for drawing in drawings:
        parsed = Page(drawing)
        marks = [part for part in parsed.parts if part[0] in ("path", "use")]
        assert len(marks) >= 8
        assert parsed.texts("title")[0]
        assert len(parsed.texts("text")) >= 4
        assert re.search(r'class="(series|bar)"', drawing)


def test_the_radii_are_described(parsed):
    described = "Line chart, robust accuracy of binary <net> against the radius. Worst case: 50.0% at 0.1, 2.5% at 0.2."
    assert described in parsed.texts("title")


def test_the_gallery_has_sixteen_images_with_alternatives(parsed):
    pictures = parsed.all("img")
    assert len(pictures) == 48
    assert all(part[1]["alt"] for part in pictures)
    assert len({part[1]["src"] for part in pictures}) > 32
    assert pictures[5][1]["alt"] == "Image 5 attacked, predicted as 6"
    order = [int(part[1]["alt"].split()[1]) for part in pictures[2::3]]
    assert order == [0, 5, 10, 15, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14]  # image i falls at step i % 5
    assert "fell at step 0; 64 of 64 values differ, by 0.2 at most" in parsed.texts("p", **{"class": "interval"})
    assert "Image 3, true class 3: fooled" in parsed.texts("figcaption")


def test_a_missing_gallery_says_so(parsed):
    assert "The run left no images (gallery-2.safetensors is not there)." in parsed.texts("p")


def test_every_setting_is_there(parsed):
    settings = " ".join(parsed.texts("details"))
    for word in ("Ascent", "cross_entropy", "momentum 0.5", "radius 0.2", "steps 5000"):
        assert word in settings
    items = parsed.texts("li")
    assert f"seed {RUN['seed']}" in items
    assert "device cpu" in items
    assert "finished True" in items


def test_tables_have_headers_and_captions(parsed):
    assert len(parsed.all("caption")) == len(parsed.all("table")) == 2 + 2 * 3
    assert all(part[1].get("scope") in ("row", "col") for part in parsed.all("th"))
    assert parsed.all("html")[0][1] == {"lang": "en"}
    assert len(parsed.all("main")) == len(parsed.all("h1")) == 1


def test_names_are_escaped(page):
    assert "binary <net>" not in page
    assert "binary &lt;net&gt;" in page


def test_the_same_run_gives_the_same_page_beside_its_record(run, page):
    path = write_page(run)
    assert path == run / "report.html"
    assert path.read_text(encoding="utf-8") == page


def test_an_unfinished_run_says_so(tmp_path):
    store = Store.open(tmp_path, {})
    write(store, subject(), "pgd", {}, images=range(5))
    write(store, subject(), "square", {}, images=[])
    store.close()
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert "unfinished: 0 of 40 images" in text
    assert "unfinished run" in text


def test_an_evaluation_without_steps_or_margins_has_a_page(tmp_path):
    store = Store.open(tmp_path, {})
    write(store, subject(), "square", dict.fromkeys(range(1, 9)))
    by_hand(store.connection, "UPDATE outcome SET margin = NULL, step = NULL")
    store.close()
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert "Margins of the attacked images" not in text
    assert "do not say when they broke an image: square" in text
    assert "ordinary PGD was not run" in text


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(InputError, match="no record in"):
        write_page(tmp_path)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    Store.open(tmp_path, {}).close()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match="cannot write") as caught:
        write_page(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_without_an_evaluation_has_a_page(tmp_path):
    Store.open(tmp_path, {}).close()
    assert "Nothing has been evaluated yet" in write_page(tmp_path).read_text(encoding="utf-8")


def test_a_cell_of_a_card_says_its_column(page):
    for kind in ("summary", "attacks"):
        (table, *_) = re.findall(rf'<table class="{kind}">(.*?)</table>', page, flags=re.DOTALL)
        head, body = table.split("<tbody>")
        columns = [text for text in Page(head).texts("th")[1:] if text != "Verdict"]
        first = Page(f"<table><tr{body.split('<tr')[1]}</table>")
        assert [part[1]["data-label"] for part in first.all("td") if "data-label" in part[1]] == columns


def test_dark_colors_are_for_the_screen_and_replace_every_variable(page):
    light, dark = re.search(
        r":root \{(.*?)\}\n@media screen and \(prefers-color-scheme: dark\) \{(.*?)\n\}", page, flags=re.DOTALL
    ).groups()
    for name in set(re.findall(r"(--[\w-]+):", light)):
        assert f"{name}:" in dark, name
    figures = set(re.findall(r"var\((--figure-[\w-]+)", page))
    assert len(figures) > 8
    assert all(f"{name}: #" in dark for name in figures)

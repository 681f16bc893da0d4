"""The page of a reproduction: every number opens its record, and what was not run is said."""

import json
import re
import shutil
from dataclasses import replace
from html import escape, unescape

import pytest

from quantattack.nn.zoo import card_of
from quantattack.record.store import Store
from quantattack.report.record_page import write_record_page
from quantattack.report.reproduction import View, print_view
from quantattack.report.reproduction_figures import Panel, lines_figure
from quantattack.report.reproduction_page import Stand, write_reproduction
from quantattack.report.style import PERCENT
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.claims import CLAIMS
from quantattack.reproduction.figures import by_number, by_pixels, by_radius, by_step
from quantattack.reproduction.page import _scales, corrected_words, write_pages
from quantattack.reproduction.plan import Missing
from quantattack.reproduction.read import Reader, Side
from quantattack.reproduction.roles import named_role, role_of
from quantattack.reproduction.settings import settings_words
from quantattack.reproduction.stand_ins import difference
from quantattack.reproduction.summary import summarize
from quantattack.reproduction.verdicts import KINDS, LEANS
from quantattack.reproduction.views import keep_missing, read_missing, view
from records import by_hand

from .conftest import plan_of


@pytest.fixture(scope="module")
def page(filled):
    return write_pages(list(filled.values()))


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def test_every_number_opens_its_record(page, text):
    links = set(re.findall(r'<a class="number" href="([^"]+)">', text))
    assert len(links) > 100
    pages = {}
    for link in links:
        file, _, anchor = unescape(link).partition("#")
        if file not in pages:
            pages[file] = (page.parent / file).read_text(encoding="utf-8")
        assert f'id="{anchor}"' in pages[file]


def test_a_records_page_has_settings_seed_versions_and_every_image(page):
    folder = page.parent / "gupta2022" / "digits-mdtanhs-10"
    text = unescape((folder / "record.html").read_text(encoding="utf-8"))
    assert '"seed": 0' in text
    assert '"torch": ' in text
    assert '"part": "Ascent"' in text
    store = Store.load(folder)
    record = next(record for record in store.records() if "pgd" in record.attacks)
    section = text[text.index(f'id="cell-{record.cells["pgd"]}"') :]
    lines = re.search(r"image label clean.*?</pre>", section, re.DOTALL).group().splitlines()
    assert len(lines) == 1 + 10
    image, label, clean, after = lines[1].split()[:4]
    first = record.outcomes("pgd")[0]
    assert (image, label, clean, after) == tuple(
        str(part) for part in (first.image, first.label, first.clean_prediction, first.prediction)
    )
    store.close()


def test_every_item_has_a_place_and_published_stands_beside_measured(filled, text):
    for plan in filled.values():
        for key in plan.paper.items:
            assert f'id="{plan.paper.key}-{key}"' in text
    assert "printed 26.98" in text
    assert "printed 88.42" in text
    assert ">quoted<" in text
    assert "95 % interval" in text
    assert "http" not in re.sub(r"https://arxiv\.org/abs/[\d.]+|http-equiv|http://www.w3.org", "", text)


COUNTED = (
    r"Of (\d+) claims \((\d+) of them this package&#39;s own questions\) (\d+) hold on these networks, (\d+) do not, "
    r"and (\d+) cannot be told, where the comparisons lean ((?:[a-z ]+ in \d+,? ?)+)\."
)


def test_the_claims_are_counted(text):
    verdicts = re.findall(r'<span class="verdict \w+">([^<]+)</span>', text)
    counted = re.search(COUNTED, text).groups()
    counts = [verdicts.count(kind) for kind in KINDS]
    own = sum(claim.own for claim in CLAIMS)
    *numbers, leaning = counted
    assert tuple(map(int, numbers)) == (len(verdicts), own, *counts)
    assert sum(map(int, re.findall(r"\d+", leaning))) == counts[2]
    for kind, count in zip(KINDS, counts, strict=True):  # a list for each verdict, and a link to it
        name = kind.replace(" ", "-")
        assert f'<a href="#{name}">{kind} ({count})</a>' in text
        section = text[text.index(f'<details class="group" id="{name}"') :].partition("</ul></details>\n<details")[0]
        assert set(re.findall(r'<span class="verdict \w+">([^<]+)</span>', section.partition("<h2")[0])) <= {kind}


def test_the_first_screen_is_the_verdicts_in_five_sentences(text):
    head = text[text.index("<h1>") : text.index('<details class="contents"')]
    sentences = re.findall(r"<li>([^<]+)</li>", head)
    assert len(sentences) == 5
    for authors, holding, failing in (("Gupta and Ajanthan", *sentences[1:3]), ("Liu et al.", *sentences[3:])):
        assert holding.startswith(f"Of what {authors} claim, ")
        assert failing.startswith(f"Of what {authors} claim, ")
        assert "this holds: " in holding or "nothing holds for certain" in holding
        assert "this does not hold, of one network here at least: " in failing or "nothing is refuted" in failing


def test_the_first_screen_names_what_was_trained_on_a_part_of_its_logits(tmp_path):
    plan = plan_of("gupta2022", tmp_path, "table6", stand_in=None)
    names = {"BNN-WQ": "cifar10-vgg5-mdtanhs", "REF": "cifar10-vgg5-float"}
    stands = [Stand(name, kind, "", "", card_of(name).logit_scale) for kind, name in names.items()]
    path = write_reproduction(tmp_path / "index.html", [], {}, stands, ["A sentence."], _scales([plan]))
    said = re.search(r'id="trained-scaled">([^<]+)', path.read_text(encoding="utf-8")).group(1)
    assert "BNN-WQ (0.022 times)" in said
    assert "REF" not in said


def test_a_corrected_p_value_shows_its_side_of_the_level():
    assert [corrected_words(p) for p in (0.0504, 0.0496, 0.051, 0.012)] == ["0.0504", "0.0496", "0.051", "0.012"]


def test_a_summary_says_what_each_verdict_is():
    claims = {claim.short: claim for claim in CLAIMS if claim.paper == "liu2020"}
    first, second, third = [claim for claim in claims.values() if not claim.own][:3]
    judgments = {"liu2020": [(first, "holds", LEANS[0]), (second, KINDS[2], LEANS[3]), (third, "holds", LEANS[0])]}
    assert summarize(judgments, PAPERS) == [
        "Of 3 claims 2 hold on these networks, 0 do not, and 1 cannot be told, "
        "where the comparisons lean neither way in 1.",
        f"Of what Liu et al. claim, this holds: {first.short}; {third.short}.",
        "Of what Liu et al. claim, nothing is refuted.",
    ]
    assert summarize({}, PAPERS) == []
    own = next(claim for claim in claims.values() if claim.own)
    said = summarize({"liu2020": [(own, KINDS[1], LEANS[1]), (first, "holds", LEANS[0])]}, PAPERS)
    assert said[0].startswith("Of 2 claims (1 of them this package's own questions) 1 hold")
    assert said[2] == "Of what Liu et al. claim, nothing is refuted."
    asked = "Of this package's own questions, this does not hold, of one network here at least"
    assert said[3:] == [f"{asked}: {own.short}."]


def test_a_refuted_claim_is_said_to_be_so_of_the_networks_here():
    claim = next(claim for claim in CLAIMS if claim.paper == "liu2020" and not claim.own)
    said = summarize({"liu2020": [(claim, KINDS[1], LEANS[1])]}, PAPERS)
    expected = f"Of what Liu et al. claim, this does not hold, of one network here at least: {claim.short}."
    assert said[2] == expected


def test_a_row_has_the_warnings_of_its_records(filled, text):
    reader = Reader(filled["gupta2022"])
    found = {}
    for row, line in zip(PAPERS["gupta2022"].items["table2"].rows, view(reader, "table2").lines, strict=True):
        columns = [column for column in PAPERS["gupta2022"].items["table2"].columns if column.how != "signal"]
        cells = [cell for column in columns for cell in reader.cells(row.role, column)]
        said = {pair for record, _ in cells for pair in record.codes.items()}
        assert {(code, one) for code, sentences in line.flags.items() for one in sentences.split(". ")} == said
        found |= line.flags
    reader.close()
    assert found
    for code, sentence in found.items():
        assert f'<abbr class="flag" title="{escape(sentence)}">{code}</abbr>' in text


def test_the_contents_lead_to_every_table_and_figure(filled, text):
    contents = text[text.index('<nav aria-label="Contents">') : text.index("<main>")]
    for plan in filled.values():
        for key in plan.paper.items:
            assert f'<a href="#{plan.paper.key}-{key}">' in contents


def test_the_page_is_read_on_a_phone_on_paper_and_in_the_dark(text):
    assert "prefers-color-scheme: dark" in text
    assert "size: A4" in text
    assert not re.search(r"\.rule[^}]*nowrap", text)  # a claim's rule wraps
    assert "<script" not in text


def test_no_label_is_a_formula_that_is_not_parsed(page, text):
    assert "mathdefault" not in text
    lines = [Panel("net", {"PGD": [(1.0, 0.5), (1000.0, 0.1)]})]
    axes = lines_figure(lines, "steps", logarithmic=True).axes[0]
    assert axes.xaxis.get_major_formatter()(100, 0) == "100"
    assert axes.get_ylim() == PERCENT
    low, high = lines_figure(lines, "steps", zoomed=True).axes[0].get_ylim()
    assert (low, high) == pytest.approx((6.8, 53.2))
    flat = lines_figure([Panel("net", {"PGD": [(1.0, 0.0), (2.0, 0.0)]})], "steps", zoomed=True).axes[0]
    assert flat.get_ylim() == pytest.approx((-0.5, 0.5))


def test_a_caption_says_what_was_reduced(filled):
    reader = Reader(filled["liu2020"])
    assert settings_words(reader, "table2") == "10 of 500 test images; 2 of 5 runs; 10 of 100 steps"
    restarts = settings_words(reader, "table3")
    assert "2 of 50 restarts" in restarts
    assert "4 of 100 restarts for BLOB_QG, b = 200, twice the restarts" in restarts
    reader.close()
    reader = Reader(filled["gupta2022"])
    assert "30 of 5000 queries" in settings_words(reader, "table7")
    assert settings_words(reader, "table10").startswith("1 of 500 test images")
    assert settings_words(reader, "table6") == ""
    reader.close()


def test_networks_are_named_with_their_difference(text):
    assert "million weights in place of 21 weight layers of 64 to 512 channels, 11 million weights" in text
    assert "% of the test images right" in text
    assert "right (printed: 93.18 %)" in text


def test_a_difference_is_measured_on_both_networks():
    role = role_of("REF", "ResNet-18")
    assert difference("cifar10-resnet8-float", role) == (
        "10 weight layers of 48 to 192 channels, 0.7 million weights, a first layer of stride 2 in place of 21 weight "
        "layers of 64 to 512 channels, 11 million weights; 9 epochs in place of 256 epochs"
    )
    scaled = difference("cifar10-resnet8-mdtanhs", role_of("BNN-WQ", "ResNet-18"))
    assert scaled.endswith("9 epochs, on 0.0417 times its logits in place of 256 epochs")
    robust = difference("cifar10-resnet8-float-adv", role_of("REF*", "ResNet-18"))
    assert robust.startswith("10 weight layers of 32 to 128 channels")
    assert robust.endswith("4 epochs against 7 steps in place of 256 epochs against 7 steps")
    alone = difference("digits-float", replace(role, full=("digits-float",), remark="a remark"))
    assert "in place of" not in alone
    assert alone.endswith("30 epochs, without augmentation; a remark")
    for name, first in (("cifar10-resnet8-mdtanhs-raw", "0.0417"), ("cifar10-vgg5-mdtanhs-raw", "0.0222")):
        assert difference(name, named_role(name)).endswith(
            f"36 epochs, without augmentation, on {first} times its logits, rising to all of them between 0 and 40 % "
            "of the updates in place of 256 epochs"
        )


def test_what_was_not_run_is_on_the_page_with_its_command(tmp_path):
    plan = plan_of("gupta2022", tmp_path, "table1", stand_in=lambda role: None)
    missing = [Missing("table1", "REF, VGG-16, CIFAR-10", "", "there is no network x", "quantattack train x --out y")]
    keep_missing(plan, missing)
    keep_missing(replace(plan, items=("table2",)), [Missing("table2", "a", "b", "c", "")])
    assert [one.item for one in read_missing(plan)] == ["table1", "table2"]
    keep_missing(replace(plan, items=("table2",)), [])
    assert read_missing(plan) == missing
    text = write_pages([plan]).read_text(encoding="utf-8")
    assert "there is no network x<pre>quantattack train x --out y</pre>" in text
    assert "not run</span>" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, ""),
        (0.4, "1 s"),
        (59.2, "1 min"),
        (12.0, "12 s"),
        (150.0, "2 min"),
        (3599.0, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_what_a_table_took_in_words(seconds, words):
    assert View("p", "k", "", "", (), (), seconds=seconds).took == words


def test_a_cell_counts_once_in_what_a_table_took(filled):
    reader = Reader(filled["liu2020"])
    item = reader.plan.paper.items["table2"]
    once = reader.seconds(item.rows, item.columns)
    assert once > 0
    assert reader.seconds([*item.rows, *item.rows], [*item.columns, *item.columns]) == once
    assert reader.seconds(item.rows, [c for c in item.columns if c.how == "clean"]) == 0


def test_a_cell_counts_once_in_what_a_paper_took(filled):
    reader = Reader(filled["liu2020"])
    tables = [reader.seconds(item.rows, item.columns) for item in reader.plan.paper.items.values()]
    behind = {
        (record.store.folder, record.cells[name]): record.column(name, "seconds").astype(float).sum()
        for found in reader.opened.values()
        for record, name in found.cells
    }
    assert max(tables) < reader.total() < sum(tables)
    assert reader.total() == pytest.approx(sum(behind.values()))
    reader.close()


def test_the_page_says_how_large_each_paper_was_run(filled):
    plans = [replace(plan, scale=plan.paper.scale("quick")) for plan in filled.values()]
    said = _scales(plans)
    assert "liu2020: 500 test images a cell, 200 with 50 restarts" in said
    assert "gupta2022 and beyond: 200 test images a cell, 200 with 20 restarts, 50 for the nearest image" in said


def test_a_cell_that_was_interrupted_has_no_number(filled, tmp_path):
    shutil.copytree(filled["liu2020"].out, tmp_path, dirs_exist_ok=True)
    plan = replace(filled["liu2020"], out=tmp_path)
    item, reader = plan.paper.items["table2"], Reader(plan)
    worst, mean = (next(c for c in item.columns if (c.name, c.how) == ("pqgd 100", how)) for how in ("worst", "mean"))
    part = item.rows[0].role
    assert reader.number(part, worst) is not None
    reader.close()
    folder, place = plan.folder(plan.network(part), "10"), "(SELECT id FROM cell WHERE attack = 'pqgd 100 run 2')"
    by_hand(folder, f"DELETE FROM outcome WHERE cell IN {place} AND image = 9")
    reader = Reader(plan)
    assert (reader.number(part, worst), reader.number(part, mean)) == (None, None)
    assert reader.pair(part, Side("pqgd 100"), Side("pgd")) is None
    reader.close()
    assert write_pages([plan]).is_file()


def test_a_view_is_printed_with_its_absences(filled, capsys, monkeypatch):
    from rich.console import Console

    reader = Reader(filled["gupta2022"])
    missing = [Missing("table7", "REF", "square", "it may take 9 passes and the budget is 8", "do " + "x" * 200)]
    print_view(view(reader, "table7", missing), Console(width=100))
    out = capsys.readouterr().out
    assert "gupta2022 table7" in out
    assert "not run: REF, square: it may take 9 passes" in out
    assert "do " + "x" * 200 in out  # a command is not broken
    print_view(view(reader, "table12"), Console(width=100))
    assert "singular values, mean, plain" in capsys.readouterr().out
    reader.close()


def test_a_record_page_of_signals_has_their_numbers(filled, page):
    folders = [path for path in (page.parent / "gupta2022").glob("*-clever-*") if path.is_dir()]
    text = write_record_page(folders[0]).read_text(encoding="utf-8")
    numbers = unescape(re.search(r'id="clever-unit".*?<pre>(.*?)</pre>', text, re.DOTALL).group(1))
    assert set(json.loads(numbers)) == {"image", "score"}


def test_figures_are_drawn_from_the_records(text):
    assert text.count('<svg role="img"') >= 8
    ids = re.findall(r'<svg role="img"[^>]*aria-labelledby="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert "gupta2022-figure3-0-title" in ids
    assert "beyond-ladder-steps-title" in ids
    assert "Robust accuracy, on an axis of its range, against levels b" in text
    for title in ("gupta2022-figure1-transfer-title", "liu2020-figure1-0-title", "liu2020-figure2-0-title"):
        assert title in ids
    assert "img-src data:" in text  # without it no browser shows the pictures
    assert re.search(r'<image [^>]*href="data:image/png', text)


def test_a_columns_place_on_the_axis():
    items = {key: PAPERS[paper].items[key] for paper, key in (("gupta2022", "figure1"), ("liu2020", "section45"))}
    first, sweep = items.values()
    steps = [by_step(first, column, 8 / 255) for column in first.columns]
    assert {place[0] for place in steps if place is not None} == {"PGD over iterations"}
    assert [place for place, column in zip(steps, first.columns, strict=True) if column.name == "pgd"] == [None] * 7
    assert [place[1] for place in steps if place is not None] == [0, 1, 2, 5, 10, 20, 50]
    levels = [place[1] for column in first.columns if (place := by_radius(first, column, column.times * 8 / 255))]
    assert levels == pytest.approx([1, 2, 4, 8, 16, 32, 80])
    assert by_pixels(first, first.columns[-2], 80 / 255) == ("PGD", 80 / 255)
    assert by_pixels(first, first.columns[0], 8 / 255) is None
    assert by_number(sweep, sweep.columns[0], 0.3) == ("10 steps", 1.0)

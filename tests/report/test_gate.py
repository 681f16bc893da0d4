"""The gate: what passes, with which exit status, and what is written of it."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from quantattack import InputError
from quantattack.report.gate import Case, cases, status
from quantattack.report.gate_files import append, badge, junit, summary, write_whole
from quantattack.report.tables import Share
from report.gated import PLAIN, add, held, made

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))
DOUBT = {"unchecked": "nothing checks it"}


def case(worst=5, floor=0.3, doubts=None, model="net", of=10):
    return Case(model, "digits", "Linf 0.1", Share(9, 10), Share(worst, of), floor, doubts or {}, 1.5)


@pytest.mark.parametrize(
    ("worst", "floor", "doubts", "outcome", "code"),
    [
        (5, 0.3, {}, "passed", 0),
        (3, 0.3, {}, "passed", 0),
        (2, 0.3, {}, "below", 1),
        (5, 0.3, DOUBT, "untrusted", 3),
        (2, 0.3, DOUBT, "below", 1),
        (0, 0.0, {}, "passed", 0),
        (0, None, {}, "passed", 0),
        (0, None, DOUBT, "untrusted", 3),
    ],
)
def test_a_case_is_below_untrusted_or_passes(worst, floor, doubts, outcome, code):
    assert case(worst, floor, doubts).outcome == outcome
    assert status([case(worst, floor, doubts)]) == code


def test_a_run_without_a_number_is_untrusted():
    unfinished = case(0, 0.3, {"unfinished": "the run is unfinished"}, of=0)
    assert (unfinished.outcome, status([unfinished])) == ("untrusted", 3)
    assert unfinished.words == "no number yet: the run is unfinished"


def test_what_is_below_outweighs_what_is_untrusted():
    assert status([case(), case(doubts=DOUBT), case(2)]) == 1
    assert status([case(), case(doubts=DOUBT)]) == 3
    assert status([case(), case()]) == 0


def test_every_model_and_radius_is_a_case():
    store = made()
    for radius, count in ((0.1, 6), (0.2, 2)):
        add(store, "one", held(count), radius=radius)
        add(store, "two", held(count + 1), radius=radius)
    store.finish()
    found = {(each.model, each.threat): each.outcome for each in cases(store.records(), 0.3)}
    assert found == {
        ("one", "Linf 0.1"): "passed",
        ("one", "Linf 0.2"): "below",
        ("two", "Linf 0.1"): "passed",
        ("two", "Linf 0.2"): "passed",
    }


def test_the_float_network_beside_a_deployed_file_is_not_held_to_the_gate():
    store = made()
    for model in ("int8.onnx", "float.onnx"):
        add(store, model, held(5))
    store.note(deployed={"int8.onnx": {"float": "float.onnx"}, "float.onnx": {"float": None}})
    store.finish()
    assert [each.model for each in cases(store.records(), 0.3)] == ["int8.onnx"]


def test_an_unfinished_record_is_no_number():
    store = made()
    add(store, "net", held(5), {"pgd": PLAIN}, images=20)
    (unfinished,) = cases(store.records(), 0.0)
    assert unfinished.worst.of == 0
    assert unfinished.outcome == "untrusted"


ODD = 'a "b" <c> & d|e`f*\x00\x1b\ud800_'


def test_junit_is_valid_and_says_each_outcome():
    judged = [case(), case(2, model="low"), case(doubts=DOUBT, model=ODD), case(0, doubts=DOUBT, of=0)]
    text = junit(judged)
    SCHEMA.validate(text.decode())
    root = ElementTree.fromstring(text)
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "2")
    assert float(suite.get("time")) == 6.0
    assert [next(iter(element)).tag for element in suite] == ["system-out", "failure", "error", "error"]
    assert suite[1].get("name") == "low, Linf 0.1"
    assert "below the gate of 30.0%" in suite[1][0].get("message")
    assert "nothing checks it" in suite[2][0].get("message")
    assert suite[2].get("name").startswith('a "b" <c> & d|e`f*\\x00')


def test_the_schema_refuses_what_is_no_junit():
    for wrong in ("<testsuites><testcase/></testsuites>", "<testsuite name='a'/>", "<report/>"):
        with pytest.raises(xmlschema.XMLSchemaValidationError):
            SCHEMA.validate(wrong)


def test_the_summary_is_a_table_with_a_row_for_each_case(tmp_path):
    text = summary([case(), case(2, model="low"), case(doubts=DOUBT, model=ODD)])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    columns = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert columns == [columns[0]] * 5
    assert "| passed | net | digits | Linf 0.1 | 90.0% | 50.0% |" in rows[2]
    assert "`unchecked`, nothing checks it" in text
    place = tmp_path / "new" / "summary.md"
    append(place, text)
    append(place, "more\n")
    assert place.read_text(encoding="utf-8") == text + "more\n"


@pytest.mark.parametrize(
    ("judged", "message", "color"),
    [
        ([case(6), case(5)], "50.0%", "brightgreen"),
        ([case(4)], "40.0%", "green"),
        ([case(2, None)], "20.0%", "yellow"),
        ([case(0, None)], "0.0%", "orange"),
        ([case(2), case(6)], "20.0%", "red"),
        ([case(6, None, DOUBT)], "60.0% not to be trusted", "lightgrey"),
        ([case(), case(0, doubts=DOUBT, of=0)], "unfinished", "lightgrey"),
    ],
)
def test_the_badge_says_the_lowest_number(judged, message, color):
    found = badge(judged)
    assert found == {"schemaVersion": 1, "label": "worst-case robust", "message": message, "color": color}
    assert json.loads(json.dumps(found)) == found


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (lambda path: write_whole(path, b""), lambda path: append(path, "")):
        with pytest.raises(InputError, match=r"cannot write .*; make room or choose another place"):
            write(tmp_path / "file" / "below.xml")

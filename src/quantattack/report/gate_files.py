"""What a gate leaves for other programs: JUnit XML, a Markdown summary, and the JSON of a badge."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from quantattack.record.writing import cannot_write, written_whole
from quantattack.report.gate import Case
from quantattack.report.percent import percent
from quantattack.report.tables import interval

SUITE = "quantattack"
WORDS = {"passed": "passed", "below": "below the gate", "untrusted": "not to be trusted"}
COLORS = ((0.5, "brightgreen"), (0.3, "green"), (0.1, "yellow"), (0.0, "orange"))  # of a badge, from this share on


def junit(judged: Sequence[Case]) -> bytes:
    """Return JUnit XML with a test case for each case: a failure where it is below, an error where it is untrusted.

    Source: the schema of Jenkins' xUnit plugin, https://github.com/jenkinsci/xunit-plugin.
    """
    outcomes = [case.outcome for case in judged]
    counts = {
        "tests": str(len(judged)),
        "failures": str(outcomes.count("below")),
        "errors": str(outcomes.count("untrusted")),
        "time": f"{sum(case.seconds for case in judged):.3f}",
    }
    root = Element("testsuites", {"name": SUITE, **counts})
    suite = SubElement(root, "testsuite", {"name": SUITE, **counts, "skipped": "0"})
    for case in judged:
        _add_case(suite, case)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _add_case(suite: Element, case: Case) -> None:
    about = {"classname": _printable(f"{SUITE}.{case.data}"), "name": _printable(f"{case.model}, {case.threat}")}
    element = SubElement(suite, "testcase", {**about, "time": f"{case.seconds:.3f}"})
    words = _printable(case.words)
    if case.outcome == "below":
        SubElement(element, "failure", {"message": words, "type": "below"}).text = words
    elif case.outcome == "untrusted":
        SubElement(element, "error", {"message": words, "type": "untrusted"}).text = words
    lines = [f"clean {percent(case.clean.value)}", words, *(f"{code}: {why}" for code, why in case.doubts.items())]
    SubElement(element, "system-out").text = _printable("\n".join(lines))


def _printable(text: str) -> str:
    """Return a text as XML 1.0 can hold it: control characters and lone surrogates escaped."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)


def summary(judged: Sequence[Case]) -> str:
    """Return the cases as a Markdown table, and below it why numbers cannot be trusted."""
    lines = ["### Adversarial robustness", ""]
    lines += ["| | model | data | threat | clean | worst case | 95 % interval | gate |"]
    lines += ["| --- | --- | --- | --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {' | '.join(map(_escaped, _cells(case)))} |" for case in judged]
    doubted = [case for case in judged if case.doubts]
    lines += [""] if doubted else []
    for case in doubted:
        lines += [f"- {_escaped(case.name)}: `{code}`, {_escaped(why)}" for code, why in case.doubts.items()]
    return "\n".join(lines) + "\n"


def _cells(case: Case) -> tuple[str, ...]:
    numbers = (percent(case.clean.value), percent(case.worst.value), interval(case.worst))
    gate = "-" if case.floor is None else percent(case.floor)
    return (WORDS[case.outcome], case.model, case.data, case.threat, *numbers, gate)


def _escaped(text: str) -> str:
    """Return a text that stays within a cell of a Markdown table, and is no markup."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]<>|" else sign for sign in _printable(text))
    return " ".join(escaped.split())


def badge(judged: Sequence[Case]) -> dict[str, int | str | bool]:
    """Return the JSON that an endpoint badge is drawn from: the lowest worst case of all.

    Source: the schema of https://shields.io/badges/endpoint-badge.

    Arguments:
        judged: The cases, at least one.
    """
    lowest = min(judged, key=lambda case: case.worst.value if case.worst.of else -1.0)
    failed = {str(case.outcome) for case in judged} - {"passed"}
    number = percent(lowest.worst.value) if lowest.worst.of else "unfinished"
    words = f"{number} {WORDS['untrusted']}" if "untrusted" in failed and lowest.worst.of else number
    return {"schemaVersion": 1, "label": "worst-case robust", "message": words, "color": _color(lowest, failed)}


def _color(lowest: Case, failed: set[str]) -> str:
    if not lowest.worst.of or failed == {"untrusted"}:
        return "lightgrey"
    return "red" if failed else next(color for share, color in COLORS if lowest.worst.value >= share)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, in a folder that is made where it is missing.

    Raises:
        InputError: If it cannot be written.
    """
    with _writable(path), written_whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def append(path: Path, text: str) -> None:
    """Add a text to a file, as the steps of a job add to its one summary.

    Raises:
        InputError: If it cannot be written.
    """
    with _writable(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise cannot_write(path, error) from None

"""The HTML report of a run: one self-contained file without scripts, fonts or external images."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantattack.errors import InputError
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.record.writing import written_whole
from quantattack.report.bracket import worst_words
from quantattack.report.comparison import Comparison, comparisons
from quantattack.report.deployed import COLUMNS, ONE_OF, deployed_lines, facts_of, shipped
from quantattack.report.diagnosis import SIGNS, Diagnosis, diagnosis, unevaluated_diagnoses
from quantattack.report.drawings import drawings, radius_drawings
from quantattack.report.gallery import Gallery, by_fall, read_gallery
from quantattack.report.render import render as fill_in
from quantattack.report.signal_drawings import signal_drawings
from quantattack.report.signal_figures import Drawing
from quantattack.report.signal_tables import tables
from quantattack.report.tables import (
    Row,
    Share,
    Verdict,
    attack_rows,
    clean_share,
    headline,
    leading,
    pairs,
    progress_words,
    robust_share,
    run_headline,
    strongest,
    threat_words,
    verdict,
    worst_share,
)

FILE = "report.html"


@dataclass(frozen=True)
class Section:
    """Content of the page for one evaluation.

    Arguments:
        anchor: HTML id that links point to.
        model: Name of the model.
        data: Name of the data set.
        threat: The threat in words.
        progress: Progress of an unfinished evaluation; empty if finished.
        verdict: Whether PGD's number can be trusted.
        headline: What PGD says and what is true.
        flags: Warnings by code, one sentence each.
        images: Number of images in the evaluation.
        clean: Clean accuracy.
        pgd: Robust accuracy under plain PGD; None if it was not run.
        worst: Worst-case robust accuracy.
        bracket: What is proved and the worst case, in words; empty where nothing was to be proved.
        gap: PGD's robust accuracy minus the worst case, in points; None where PGD was not run.
        strongest: The attack with the lowest robust accuracy.
        rows: The attacks.
        after: Names of those that were run last, and took over what the others broke.
        pairs: For each pair of attacks, the images that the row's attack broke and the column's did not.
        diagnosis: What the checks found; None where there was no diagnosis.
        drawings: The figures.
        gallery: Images, clean and attacked.
        settings: Every setting: the threat's and each attack's.

    """

    anchor: str
    model: str
    data: str
    threat: str
    progress: str
    verdict: Verdict
    headline: str
    flags: dict[str, str]
    images: int
    clean: Share
    pgd: Share | None
    worst: Share
    bracket: str
    gap: float | None
    strongest: str | None
    rows: list[Row]
    after: list[str]
    pairs: list[list[int]]
    diagnosis: Diagnosis | None
    drawings: list[Drawing]
    gallery: Gallery
    settings: dict[str, Any]


def section_of(record: Record, place: int, folder: Path) -> Section:
    """Collect the content of the page for one evaluation.

    Arguments:
        record: The evaluation.
        place: Its position in the run, from 1.
        folder: The run's folder, with its gallery files.

    """
    checks, subject = diagnosis(record), record.subject
    return Section(
        *(f"evaluation-{place}", subject.model, subject.data),
        threat=threat_words(record.threat),
        progress=progress_words(record),
        verdict=judged(verdict(record), checks),
        headline=_words(record, checks),
        flags=record.codes,
        images=record.images,
        clean=clean_share(record),
        pgd=_pgd_share(record),
        worst=worst_share(record),
        bracket=worst_words(record) if record.bracket else "",
        gap=_points(record.masking_gap),
        strongest=strongest(record),
        rows=attack_rows(record),
        after=[name for name, cell in record.by_attack.items() if cell.takes_over],
        pairs=_pairs(record),
        diagnosis=checks,
        drawings=drawings(record, place),
        gallery=by_fall(read_gallery(folder, place, record.subject), record),
        settings=_settings(record),
    )


def _sections(records: list[Record], folder: Path) -> Iterator[Section]:
    return (section_of(record, place, folder) for place, record in enumerate(records, 1))


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _settings(record: Record) -> dict[str, Any]:
    return {"threat": record.threat, **{name: record.settings(name) for name in record.attacks}}


def _pairs(record: Record) -> list[list[int]]:
    counts: list[list[int]] = pairs(record).tolist() if record.complete else []
    return counts


def _pgd_share(record: Record) -> Share | None:
    return robust_share(record, record.plain_pgd) if record.plain_pgd else None


def judged(by_attacks: Verdict, checks: Diagnosis | None) -> Verdict:
    """Return the verdict on the robust accuracy: a failed check overrides the verdict from attacks alone."""
    if checks is None or checks.trusted or by_attacks.kind == "masked":
        return by_attacks
    return Verdict("masked", "The robust accuracy cannot be trusted: a check failed")


def _words(record: Record, checks: Diagnosis | None) -> str:
    return headline(record) if checks is None or checks.trusted else f"{checks.headline} {headline(record)}"


def render(store: Store, folder: Path) -> str:
    """Return the page of a run.

    Arguments:
        store: The run's record.
        folder: The run's folder, with its gallery files.

    """
    records = store.records()
    of, sections = shipped(records), [section_of(record, place, folder) for place, record in enumerate(records, 1)]
    strangers, drawn, shown = unevaluated_diagnoses(store), signal_drawings(store), tables(store)
    compared, uncompared = _side_by_side(records)
    return fill_in(
        "page.html.j2",
        title=_title(of, [*map(diagnosis, of), *(checks for _, checks in strangers)], bool(drawn)),
        sections=sections,
        strangers=[(subject, threat_words(json.loads(subject.threat)), checks) for subject, checks in strangers],
        signals={"title": "Signal propagation", "drawings": drawn, "tables": shown} if drawn or shown else None,
        signs=SIGNS,
        lead=None if (first := leading(of)) is None else records.index(first),
        radii=radius_drawings(records),
        compared=compared,
        uncompared=uncompared,
        **_deployed(records),
        run={"finished": store.finished, **store.identity},
        notes=store.notes,
    )


def _deployed(records: list[Record]) -> dict[str, Any]:
    """Return what the page says of deployed files."""
    facts = [facts_of(record) for record in records]
    return {"deployed": deployed_lines(records), "facts": facts, "columns": COLUMNS, "one_of": ONE_OF}


def _side_by_side(records: list[Record]) -> tuple[list[Comparison], str]:
    """Return the comparisons, and why there are none where the networks were attacked on other images."""
    try:
        return comparisons(records), ""
    except InputError as error:
        return [], str(error)


def _title(records: list[Record], diagnoses: list[Diagnosis | None], signals: bool) -> str:
    """Return the page's title: a failed check overrides the verdict from attacks alone."""
    failed = [checks for checks in diagnoses if checks is not None and not checks.trusted]
    if failed and "masked" not in [verdict(record).kind for record in records]:
        return judged(Verdict("unknown", ""), failed[0]).words
    return "Signal propagation through the networks" if signals and not records else run_headline(records)


def write_page(folder: Path) -> Path:
    """Write the report of a run beside its record.

    Arguments:
        folder: The folder that `quantattack evaluate --out` wrote.

    Returns:
        The page: `report.html` in that folder.

    Raises:
        InputError: If there is no record, or the page cannot be written.

    """
    store, path = Store.load(folder), folder / FILE
    try:
        with written_whole(path) as part:
            part.write_text(render(store, folder), encoding="utf-8")
    finally:
        store.close()
    return path

"""The page of a reproduction, built from its records alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quantattack.report.record_page import write_record_page
from quantattack.report.reproduction_page import PAGE, Chapter, Judged, Stand, write_reproduction
from quantattack.reproduction.claims import CLAIMS, Claim
from quantattack.reproduction.figures import figures
from quantattack.reproduction.read import Reader
from quantattack.reproduction.run import Plan
from quantattack.reproduction.scales import Scale
from quantattack.reproduction.views import views


def write_pages(plans: Sequence[Plan]) -> Path:
    """Write the page of several plans into their folder, and the page of each record; return the page's path.

    Arguments:
        plans: One plan a paper, all of one folder and one name of scale.
    """
    out = plans[0].out
    readers = {plan.paper.key: Reader(replace(plan, only=None)) for plan in plans}
    chapters = [_chapter(readers[plan.paper.key]) for plan in plans]
    claims = [_judged(claim, readers[claim.paper]) for claim in CLAIMS if claim.paper in readers]
    path = write_reproduction(out / PAGE, chapters, claims, stands(list(readers.values())), _scales(plans))
    for folder in sorted({store.folder for reader in readers.values() for store in reader.stores if store.folder}):
        write_record_page(folder)
    for reader in readers.values():
        reader.close()
    return path


def _chapter(reader: Reader) -> Chapter:
    paper = reader.plan.paper
    drawn = tuple(replace(view, figures=figures(reader, view.key)) for view in views(reader))
    return Chapter(paper.key, paper.title, paper.source, drawn, reader.total())


def _judged(claim: Claim, reader: Reader) -> Judged:
    verdict = claim.judge(reader)
    evidence = tuple(one.words for one in verdict.evidence)
    return Judged(claim.paper, claim.item, claim.words, claim.rule, verdict.kind, evidence)


def stands(readers: Sequence[Reader]) -> list[Stand]:
    """Return every network that there are records of, with what it stands for."""
    found: dict[tuple[str, str], Stand] = {}
    for reader in readers:
        for item in reader.plan.paper.items.values():
            for row in item.rows:
                stores = reader.found(row.role).stores
                name = reader.plan.network(row.role)
                if stores and name is not None:
                    stem, told = Path(name).stem, stores[0].notes.get("network", {})
                    found[stem, row.role.label] = Stand(stem, row.role.label, row.role.difference, _told(told))
    return list(found.values())


def _told(told: dict[str, object]) -> str:
    clean, epochs = told.get("clean"), told.get("epochs")
    parts = [f"{100 * clean:.1f} % of the test images right" if isinstance(clean, float) else ""]
    parts += [f"{epochs} epochs" if epochs else "", str(told.get("quantizer", ""))]
    return ", ".join(part for part in parts if part)


def _scales(plans: Sequence[Plan]) -> str:
    keys: dict[Scale, list[str]] = {}
    for plan in plans:
        keys.setdefault(plan.scale, []).append(plan.paper.key)
    sizes = "; ".join(f"{' and '.join(papers)}: {_size(scale)}" for scale, papers in keys.items())
    return f"Scale {plans[0].scale.name}, seed {plans[0].seed}. {sizes}."


def _size(scale: Scale) -> str:
    return (
        f"{scale.images} test images a cell, {scale.merged} with {scale.restarts} restarts, "
        f"{scale.few} for the nearest image and CLEVER, {scale.runs} independent runs"
    )

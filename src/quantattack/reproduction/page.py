"""Builds the HTML page of a reproduction from its records, without running anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from quantattack.report.record_page import write_record_page
from quantattack.report.reproduction import small
from quantattack.report.reproduction_page import PAGE, Chapter, Judged, Stand, write_reproduction
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.claims import CLAIMS, Claim, Decided, judged
from quantattack.reproduction.figures import figures
from quantattack.reproduction.paper import Paper
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.read import Reader
from quantattack.reproduction.roles import Role
from quantattack.reproduction.scales import Scale
from quantattack.reproduction.stand_ins import difference
from quantattack.reproduction.summary import summarize
from quantattack.reproduction.verdicts import KINDS, SIGNIFICANCE, Kind, Lean, Verdict
from quantattack.reproduction.views import views


def write_pages(plans: Sequence[Plan]) -> Path:
    """Write one page for several plans, and a page for each of their records; return the first page's path.

    The papers' claims are judged only for plans on the papers' networks. A plan on the user's own networks gets a page
    named after its paper and item.

    Arguments:
        plans: One plan for each paper, all with the same folder and the same name of scale.
    """
    out = plans[0].out
    readers = {plan.paper.key: Reader(replace(plan, only=None)) for plan in plans}
    chapters = [_chapter(reader) for reader in readers.values()]
    papers = [key for key, reader in readers.items() if not reader.plan.own]
    found = {key: judged([claim for claim in CLAIMS if claim.paper == key], readers[key]) for key in papers}
    summary = summarize({key: _kinds(claims) for key, claims in found.items() if claims}, PAPERS)
    networks = stands([readers[key] for key in papers])
    name = f"{plans[0].paper.key}-{plans[0].items[0]}.html" if plans[0].own else PAGE
    path = write_reproduction(out / name, chapters, _by_verdict(found), networks, summary, _scales(plans))
    for folder in sorted({store.folder for reader in readers.values() for store in reader.stores if store.folder}):
        write_record_page(folder)
    for reader in readers.values():
        reader.close()
    return path


def _chapter(reader: Reader) -> Chapter:
    paper = reader.plan.paper
    with_figures = tuple(replace(view, figures=figures(reader, view.key)) for view in views(reader))
    return Chapter(paper.key, paper.title, paper.source, with_figures, reader.total())


def _kinds(claims: Sequence[Decided]) -> list[tuple[Claim, Kind, Lean | None]]:
    return [(claim, verdict.kind_at(p), verdict.lean) for claim, verdict, p in claims]


def _by_verdict(found: Mapping[str, Sequence[Decided]]) -> dict[str, list[Judged]]:
    """Return the claims of all papers by verdict, in the order of the verdicts; empty if none is judged."""
    every = [_judged(claim, verdict, p, claims) for claims in found.values() for claim, verdict, p in claims]
    return {kind: [claim for claim in every if claim.verdict == kind] for kind in KINDS} if every else {}


def _judged(claim: Claim, verdict: Verdict, p: float, claims: Sequence[Decided]) -> Judged:
    tests = sum(verdict.tested for _, verdict, _ in claims)
    tested = f"p = {small(verdict.p)}, {corrected_words(p)} corrected for {tests} claims" if verdict.tested else ""
    evidence = tuple(line.words for line in verdict.evidence)
    kind = verdict.kind_at(p)
    votes = verdict.votes if kind != KINDS[0] and len(evidence) > 1 else ""
    return Judged(claim.paper, claim.item, claim.words, claim.rule, kind, tested, evidence, votes)


def corrected_words(p: float) -> str:
    """Format a corrected p-value, which decides at 0.05, so that it shows on which side it lies."""
    return f"{p:.3g}" if small(p) == small(SIGNIFICANCE) and p != SIGNIFICANCE else small(p)


def stands(readers: Sequence[Reader]) -> list[Stand]:
    """Return every network with records, once for each of the papers' networks that it stands in for."""
    by_network_and_role: dict[tuple[str, str], Stand] = {}
    for reader in readers:
        for row in (row for item in reader.plan.paper.items.values() for row in item.rows):
            stores, name = reader.records(row.role).stores, reader.plan.network(row.role)
            if stores and name is not None:
                facts = _card_text(stores[0].notes.get("network", {}), _published_clean(reader.plan.paper, row.role))
                checkpoint = reader.plan.checkpoint(row.role) or name
                scale = reader.logit_scale(row.role)
                stand = Stand(name, row.role.label, difference(checkpoint, row.role), facts, scale)
                by_network_and_role.setdefault((name, row.role.label), stand)  # the papers come first
    return list(by_network_and_role.values())


def _published_clean(paper: Paper, role: Role) -> float | None:
    """Return the clean accuracy in percent that a paper prints for a network; None if it prints none."""
    printed = (
        value
        for item in paper.items.values()
        for row in item.rows
        for column, value in zip(item.columns, row.published, strict=False)
        if column.how == "clean" and row.role == role and value is not None
    )
    return next(printed, None)


def _card_text(facts: dict[str, object], published: float | None) -> str:
    clean, epochs = facts.get("clean"), facts.get("epochs")
    printed = f" (printed: {published:g} %)" if published is not None else ""
    parts = [f"{100 * clean:.1f} % of the test images right{printed}" if isinstance(clean, float) else ""]
    parts += [f"{epochs} epochs" if epochs else "", str(facts.get("quantizer", ""))]
    return ", ".join(part for part in parts if part)


def _scales(plans: Sequence[Plan]) -> str:
    papers_by_scale: dict[Scale, list[str]] = {}
    for plan in plans:
        papers_by_scale.setdefault(plan.scale, []).append(plan.paper.key)
    sizes = "; ".join(f"{' and '.join(papers)}: {_size(scale)}" for scale, papers in papers_by_scale.items())
    return f"Scale {plans[0].scale.name}, seed {plans[0].seed}. {sizes}."


def _size(scale: Scale) -> str:
    return (
        f"{scale.images} test images a cell, {scale.merged} with {scale.restarts} restarts, "
        f"{scale.nearest} for the nearest image, {scale.signals} for signals and {scale.few} for CLEVER, "
        f"{scale.runs} independent runs, at most {scale.steps} steps, {scale.boundary} of Brendel and Bethge's attack, "
        f"{scale.queries} queries of Square"
    )

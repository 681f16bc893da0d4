"""The page of a reproduction: claims with their verdicts, and each table with published and measured side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantattack.record.writing import written_whole
from quantattack.report.render import render
from quantattack.report.reproduction import View, duration

PAGE = "index.html"


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Arguments:
        paper: Key of the paper.
        item: Key of the table or figure that it stands on.
        words: The claim.
        rule: When it counts as holding.
        verdict: holds, does not hold, or cannot be told.
        tested: Its p-value before and after the correction, in words; empty without a test.
        evidence: The numbers, a sentence each.
        votes: How many of them are for it and against it, in words, where that does not decide; else empty.
    """

    paper: str
    item: str
    words: str
    rule: str
    verdict: str
    tested: str
    evidence: tuple[str, ...]
    votes: str = ""


@dataclass(frozen=True)
class Chapter:
    """A paper on the page.

    Arguments:
        key: What the command calls it.
        title: Its title.
        source: Authors, year and link.
        views: Its tables and figures.
        seconds: What all its attacks took, each once.
    """

    key: str
    title: str
    source: str
    views: tuple[View, ...]
    seconds: float = 0.0

    @property
    def took(self) -> str:
        """What all its attacks took, in words; empty where nothing was attacked."""
        return duration(self.seconds)

    @property
    def authors(self) -> str:
        return self.source.partition(", http")[0]

    @property
    def link(self) -> str:
        _, there, rest = self.source.partition("http")
        return there + rest


@dataclass(frozen=True)
class Stand:
    """A network that stands for one of the papers'.

    Arguments:
        network: Its name.
        label: What it stands for.
        difference: How it differs.
        told: What its card says of it.
        scale: What the loss of its training multiplied its logits with; it is attacked on its logits as they are.
    """

    network: str
    label: str
    difference: str
    told: str
    scale: float = 1.0


def write_reproduction(
    path: Path,
    chapters: Sequence[Chapter],
    claims: Mapping[str, Sequence[Judged]],
    stands: Sequence[Stand],
    summary: Sequence[str],
    scale: str,
) -> Path:
    """Write the page.

    Arguments:
        path: Where it goes.
        chapters: The papers.
        claims: What they claim, judged, by verdict; empty if nothing is judged.
        stands: The networks.
        summary: What holds and what does not, in sentences.
        scale: How large the runs were, in words.
    """
    parts = {"chapters": chapters, "claims": claims, "stands": stands, "summary": summary, "scale": scale}
    with written_whole(path) as part:
        part.write_text(render("reproduction.html.j2", **parts), encoding="utf-8")
    return path

"""What quantization cost: clean and robust accuracy of two networks on the same images, with paired tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quantattack.record.deployed import deployed_note
from quantattack.record.record import Record
from quantattack.record.statistics import paired_difference
from quantattack.report.comparison import Comparison, Pair, p_words, words
from quantattack.report.percent import percent
from quantattack.report.tables import Share


@dataclass(frozen=True)
class Loss:
    """How much accuracy the second of two networks has lost against the first, on the same images.

    Arguments:
        before: Accuracy of the first.
        after: Accuracy of the second.
        pair: The paired counts, with McNemar's test.
    """

    before: Share
    after: Share
    pair: Pair

    @property
    def points(self) -> float:
        """The loss in percentage points; negative for a gain."""
        return 100 * (self.before.value - self.after.value)

    @property
    def interval(self) -> tuple[float, float]:
        """The paired 95 % interval of the loss, in percentage points."""
        pair = self.pair
        low, high = paired_difference(pair.only_first, pair.only_second, pair.both, self.before.of)
        return 100 * low, 100 * high

    @property
    def words(self) -> str:
        """The loss with its interval and its test."""
        moved = "nothing lost" if self.points == 0 else f"{abs(self.points):.1f} points {_verb(self.points)}"
        change = f"{percent(self.before.value)} to {percent(self.after.value)}, {moved}"
        return f"{change} (95 % interval of the {self._interval_words}, McNemar p {_equals(self.pair.p)}{self._told})"

    @property
    def _interval_words(self) -> str:
        """The interval of what the sentence speaks of, a loss or a gain."""
        low, high = self.interval
        return f"gain {-high:+.1f} to {-low:+.1f}" if self.points < 0 else f"loss {low:+.1f} to {high:+.1f}"

    @property
    def _told(self) -> str:
        """What is to be said where the test cannot tell the two apart, alone or among all that are compared."""
        if self.pair.adjusted < 0.05:
            return ""
        return f", {words(self.pair)}{' among so many pairs' if self.pair.p < 0.05 else ''}"


def _verb(points: float) -> str:
    return "lost" if points > 0 else "gained"


def _equals(p: float) -> str:
    text = p_words(p)
    return text if text.startswith("<") else f"= {text}"


@dataclass(frozen=True)
class Cost:
    """What the second of two networks has lost against the first.

    Arguments:
        first: The network that it is held against, such as the float network.
        second: The other, such as the quantized one.
        is_quantization: Whether the record says that the second was made of the first.
        images: Number of images that both were attacked on.
        attacks: The attacks that both were given.
        clean: The loss of clean accuracy.
        robust: The loss of robust accuracy under these attacks.
    """

    first: str
    second: str
    is_quantization: bool
    images: int
    attacks: tuple[str, ...]
    clean: Loss
    robust: Loss

    @property
    def words(self) -> str:
        """What it cost, in one sentence."""
        lead = "What quantization cost, " if self.is_quantization else "From "
        under = f"{len(self.attacks)} attack{'s' if len(self.attacks) != 1 else ''} in common"
        return (
            f"{lead}{self.first} to {self.second} on {self.images} images: clean accuracy {self.clean.words}; "
            f"robust accuracy under the {under} {self.robust.words}."
        )


def costs(records: Sequence[Record], comparison: Comparison, asked: bool = False) -> list[Cost]:
    """Return what each deployed file lost against the float network that it was made of, and all others to the first.

    Arguments:
        records: The evaluations that were compared.
        comparison: Their comparison on one data set under one threat.
        asked: Whether the networks were named in this order, so that each is held against the first of them.
    """
    made, first = list(_made_of(records, comparison)), next(iter(comparison.robust))
    told = [] if asked else made
    known = {name for pair in told for name in pair}
    rest = [(first, pair.second) for pair in comparison.pairs if pair.first == first and pair.second not in known]
    return [_cost(comparison, *names, is_quantization=names in made) for names in (*told, *rest)]


def _made_of(records: Sequence[Record], comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield each compared file with the float network that it was made of, the float network first."""
    notes = {record.subject.model: deployed_note(record.store, record.subject.model) for record in records}
    for model in comparison.robust:
        note = notes.get(model)
        if note is not None and note["float"] in comparison.robust and note["float"] != model:
            yield note["float"], model


def _cost(comparison: Comparison, first: str, second: str, is_quantization: bool) -> Cost:
    clean = Loss(comparison.clean[first], comparison.clean[second], _between(comparison.clean_pairs, first, second))
    robust = Loss(comparison.robust[first], comparison.robust[second], _between(comparison.pairs, first, second))
    return Cost(first, second, is_quantization, comparison.images, comparison.attacks, clean, robust)


def _between(pairs: Sequence[Pair], first: str, second: str) -> Pair:
    """Return the pair of two networks, turned round where it was counted the other way."""
    (pair,) = [pair for pair in pairs if {pair.first, pair.second} == {first, second}]
    if pair.first == first:
        return pair
    return Pair(first, second, pair.both, pair.only_second, pair.only_first, pair.neither, pair.p, pair.adjusted)

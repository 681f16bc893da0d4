"""A network over a region as a solver takes it: what both kinds of complete search share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from quantattack.certification.bounds import Bounded
from quantattack.certification.encoding import Encoding
from quantattack.certification.found import Found
from quantattack.certification.parts import Part
from quantattack.certification.program import Program
from quantattack.certification.region import Region


@dataclass(eq=False)
class Encoded(ABC):
    """A network over a region: its pixels first, then its nonlinear steps, one after the other.

    Arguments:
        program: The network.
        region: The images.
        bounded: What is known of them.
        label: The class.
    """

    program: Program
    region: Region
    bounded: Bounded
    label: int

    def __post_init__(self) -> None:
        self.encoding = Encoding(self.program, self.bounded.boxes)
        self.add_pixels()
        for place, step in enumerate(self.program.steps):
            self.add(place, step.part)

    @abstractmethod
    def add_pixels(self) -> None:
        """Add a variable for each pixel."""

    @abstractmethod
    def add(self, place: int, part: Part) -> None:
        """Add what a step needs, if it is not linear."""

    @property
    @abstractmethod
    def decisions(self) -> int:
        """What the solver has to decide, pixels aside."""

    @abstractmethod
    def search(self, rival: int, seconds: int | float, strict: bool) -> Found:
        """Search an image of a class: relaxed for a proof, strict for an image that the network as run confirms."""

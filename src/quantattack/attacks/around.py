"""What an attack around one other attack has of it, unless it says otherwise: traits, passes and the end."""

from dataclasses import dataclass, replace

from quantattack.attacks.base import Attack, Traits, attacked_images, passes, to_the_end, traits_around


@dataclass(frozen=True, eq=False)  # the attacks built on it are compared and recorded, not it
class Around:
    """Base of the attacks that run another one; they add a `trace`.

    Arguments:
        attack: The attack that is run.
    """

    attack: Attack
    __call__ = attacked_images

    @property
    def traits(self) -> Traits:
        """Those of a wrapper around the attack."""
        return traits_around(self.attack)

    def passes(self, classes: int) -> int:
        """Return the attack's passes."""
        return passes(self.attack, classes)

    def to_the_end(self) -> Attack:
        """Return the same around the attack without early stopping."""
        return replace(self, attack=to_the_end(self.attack))

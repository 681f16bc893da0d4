"""A new attack in a few lines: it is judged, counted and recorded like any other: python new_attack.py [IMAGES]."""

import sys
from dataclasses import dataclass
from typing import Any

import quantattack as qa
from quantattack.attacks.base import default_rng
from quantattack.gradients import gradient


@dataclass(frozen=True)
class SignDescent:
    """Sign steps of half the length each, from the clean image: FGSM that can turn around."""

    threat: qa.Threat
    steps: int = 5

    def __call__(
        self, model: Any, clean: Any, labels: Any, start: Any = None, rng: Any = None, radius: Any = None
    ) -> Any:
        x = self.threat.sample(clean, rng or default_rng(clean), radius) if start is None else start
        size = self.threat.radius
        for _ in range(self.steps):
            _, grad = gradient(model, x, lambda logits: qa.log_odds(logits, labels))
            x, size = self.threat.project(x + size * grad.sign(), clean, radius), size / 2
        return x


count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
images, labels = (part[:count] for part in qa.load_data("digits"))
model, threat = qa.load_model("digits-mdtanhs"), qa.Threat("linf", 0.1)
attacks = {"fgsm": qa.fgsm(threat), "sign descent": SignDescent(threat)}
record = qa.evaluate(model, images, labels, attacks, threat)
for name in record.attacks:
    print(f"{name}: {record.robust(name):.2f} robust, {record.column(name, 'backwards').mean():.1f} backward passes")
print(record.settings("sign descent"))

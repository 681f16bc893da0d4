"""AutoAttack and ours on one network, in one record (extra `autoattack`): python beside_autoattack.py [IMAGES]."""

import sys

import quantattack as qa
from quantattack.attacks import adapters

count = int(sys.argv[1]) if len(sys.argv) > 1 else 32
images, labels = (part[:count] for part in qa.load_data("digits"))
model, threat = qa.load_model("digits-mdtanhs"), qa.Threat("linf", 0.1)
attacks = {
    "autoattack": adapters.AutoAttack(threat, "custom", members="apgd-ce+apgd-t", steps=20),
    "gap": qa.apgd_plus(threat, qa.Gap(), steps=20),
    "log_odds": qa.apgd(threat, loss=qa.log_odds, steps=20),
}
record = qa.evaluate(model, images, labels, attacks, threat, batch_size=count)
for name in record.attacks:
    print(f"{name}: {record.robust(name):.2f} robust, {record.column(name, 'backwards').mean():.0f} backward passes")
print(f"worst case {record.worst_case:.2f}")

"""A gate before a release, exit status 1 if too little holds: python release_gate.py [LEAST] [NETWORK]."""

import sys

import quantattack as qa

least = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
name = sys.argv[2] if len(sys.argv) > 2 else "digits-mdtanhs"
images, labels = (part[:100] for part in qa.load_data("digits"))
threat = qa.Threat("linf", 0.05)
attacks = {
    "pgd": qa.pgd(threat, steps=10),
    "gap": qa.pgd_plus(threat, qa.Gap(), steps=20),
    "log_odds": qa.apgd(threat, loss=qa.log_odds, steps=20),
    "square": qa.square(threat, queries=50),  # the control that needs no gradient
}
record = qa.evaluate(qa.load_model(name), images, labels, attacks, threat, name=name)
print(f"{name}: worst case {record.worst_case:.2f}, needed {least:.2f}")
for flag in record.flags:
    print(flag.partition(":")[0])
if "black_box_wins" in record.codes or not record.worst_case >= least:
    sys.exit(1)  # the gradients mislead even our attacks, or too many images fell

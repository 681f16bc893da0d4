"""Your own torch model, from its training to a verdict with its flags: python own_model.py [IMAGES]."""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import quantattack as qa

torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
images, labels = qa.load_data("digits", split="train")
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for _ in range(200):
    optimizer.zero_grad()
    cross_entropy(model(images), labels).backward()
    optimizer.step()
model[-1].weight.data *= 30  # as in a network whose last layer adds up many terms: the softmax is saturated
model[-1].bias.data *= 30

count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
tests, answers = (part[:count] for part in qa.load_data("digits"))
threat = qa.Threat("linf", 0.1)
attacks = {"pgd": qa.pgd(threat, steps=20), "gap": qa.pgd_plus(threat, qa.Gap(), steps=20)}
record = qa.evaluate(model.eval(), tests, answers, attacks, threat)
print(f"clean {record.clean:.2f}  pgd {record.robust('pgd'):.2f}  worst case {record.worst_case:.2f}")
print(*sorted(record.codes))

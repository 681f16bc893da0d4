"""Train a binarized network on adversarial images: python adversarial_training.py [EPOCHS]."""

import sys

import torch
from torch import nn

import quantattack as qa
from quantattack.nn.quantizers import MdTanhS
from quantattack.training.fit import fit
from quantattack.training.settings import Settings

threat = qa.Threat("linf", 0.1)
inner = qa.pgd_plus(threat, qa.Gap(), steps=3, step_size=0.05)  # its gradient does not vanish in training either
images, labels = qa.load_data("digits", split="train")
tests, answers = (part[:100] for part in qa.load_data("digits"))
settings = Settings(epochs=int(sys.argv[1]) if len(sys.argv) > 1 else 6, batch_size=64, logit_scale=1 / 16)
attacks = {"pgd": qa.pgd(threat, steps=10), "gap": qa.pgd_plus(threat, qa.Gap(), steps=20)}

for words, adversary in (("plain", None), ("adversarial", inner)):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    network = qa.quantize(nn.Sequential(*layers, nn.Linear(256, 10)), weights=MdTanhS())
    fit(network, images, labels, settings, adversary=adversary)
    record = qa.evaluate(qa.freeze(network.eval()), tests, answers, attacks, threat)
    print(f"{words}: clean {record.clean:.2f}  pgd {record.robust('pgd'):.2f}  worst case {record.worst_case:.2f}")

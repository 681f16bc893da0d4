"""A vision transformer of Hugging Face's transformers (extra `models`): python huggingface_vit.py [IMAGES]."""

import sys

import torch
from torch.nn.functional import cross_entropy
from transformers import ViTConfig, ViTForImageClassification

import quantattack as qa
from quantattack.attacks import adapters


class Processor:
    """What `AutoImageProcessor.from_pretrained` returns, as far as it is looked at: a mean and a deviation."""

    image_mean, image_std = [0.3], [0.4]


torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
vit = ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, num_channels=1, num_labels=10, **sizes))
model = adapters.from_huggingface(vit, Processor())  # images in [0, 1] to logits; your own checkpoint likewise
images, labels = qa.load_data("digits", split="train")
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for batch in torch.arange(60 * 128).split(128):
    optimizer.zero_grad()
    cross_entropy(model(images[batch % len(images)]), labels[batch % len(images)]).backward()
    optimizer.step()

count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
tests, answers = (part[:count] for part in qa.load_data("digits"))
threat = qa.Threat("linf", 0.05)
attacks = {"pgd": qa.pgd(threat, steps=10), "apgd": qa.apgd_plus(threat, qa.Gap(), steps=20)}
record = qa.evaluate(model.eval(), tests, answers, attacks, threat)
print(f"clean {record.clean:.2f}  pgd {record.robust('pgd'):.2f}  worst case {record.worst_case:.2f}")

"""Small networks as programs: exported, quantized by torchao's quantizers or by torch.ao, with random weights."""

import copy
import warnings
from functools import cache

import pytest
import torch
from torch import nn

SHAPE = (1, 8, 8)


class Residual(nn.Module):
    """Convolutions, BatchNorm, a shortcut, a pooling in place of ReLU's copy, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (
            nn.Conv2d(1, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Conv2d(8, 8, 1),
        )
        self.norm, self.last = nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, images):
        before = torch.relu(self.norm(self.first(images)))
        after = torch.relu_(self.third(torch.relu(self.second(before))) + before)
        return self.last(nn.functional.max_pool2d(after, 2).mean((2, 3)))


class Depthwise(nn.Module):
    """MobileNet-V2's block: expanded, depthwise, projected, with ReLU6 and dropout."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 12, 1), nn.BatchNorm2d(12), nn.ReLU6(), nn.Conv2d(12, 12, 3, 2, 1, groups=12), nn.ReLU6()),
            *(nn.Conv2d(12, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 10)),
        )

    def forward(self, images):
        return self.body(images)


class Concatenated(nn.Module):
    """DenseNet's block: each convolution sees all that came before; ends in a softmax where asked to."""

    def __init__(self, softmax=False):
        super().__init__()
        self.first, self.second, self.third = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Conv2d(5, 4, 3, padding=1),
            nn.Linear(9, 10),
        )
        self.softmax = softmax

    def forward(self, images):
        one = torch.cat([images, torch.relu(self.first(images))], 1)
        two = torch.cat([one, torch.relu(self.second(one))], 1)
        logits = 8 * self.third(nn.functional.avg_pool2d(two, 8).flatten(1))
        return torch.softmax(logits, 1) if self.softmax else logits


class Attention(nn.Module):
    """A vision transformer of one block: patches, LayerNorm, attention of two heads, GELU."""

    def __init__(self):
        super().__init__()
        self.patches, self.place = nn.Conv2d(1, 16, 4, 4), nn.Parameter(torch.randn(4, 16) / 4)
        self.one, self.two = nn.LayerNorm(16), nn.LayerNorm(16)
        self.mixed, self.joined, self.last = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 10)
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2) + self.place
        heads = self.mixed(self.one(x)).reshape(x.shape[0], 4, 3, 2, 8).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        seen = torch.softmax(query @ key.transpose(-2, -1) / 8**0.5, -1) @ value
        x = x + self.joined(seen.transpose(1, 2).reshape(x.shape[0], 4, 16))
        x = x + self.narrow(nn.functional.gelu(self.wide(self.two(x))))
        return self.last(x.mean(1))


NETWORKS = {"residual": Residual, "depthwise": Depthwise, "concatenated": Concatenated, "attention": Attention}


def made(name, seed=0):
    """A network by name, in eval mode, whose BatchNorms have seen images."""
    torch.manual_seed(seed)
    network = NETWORKS[name]()
    network.train()(images(64, seed=9))
    return network.eval()


def images(count, seed=1):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def exported(network, batch=None):
    """A `torch.export` program, with a free batch unless it is fixed."""
    with quiet():
        free = None if batch else ({0: torch.export.Dim("n", min=1, max=4096)},)
        return torch.export.export(network, (images(batch or 4).clone(),), dynamic_shapes=free)


def need_torchao():
    """torchao, or a skip where it is not installed."""
    with quiet():
        return pytest.importorskip(
            "torchao.quantization.pt2e.quantize_pt2e", reason="torchao is not installed (extra pt2e)"
        )


class quiet(warnings.catch_warnings):  # noqa: N801, a context and not a thing
    """torch.export, torch.ao and torchao warn of their own deprecations."""

    def __enter__(self):
        super().__enter__()
        warnings.simplefilter("ignore")


def quantizer(kind, training=False, per_channel=True, dynamic=False):
    with quiet():
        if kind == "x86":
            from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

            settings = x86.get_default_x86_inductor_quantization_config(is_qat=training, is_dynamic=dynamic)
            return x86.X86InductorQuantizer().set_global(settings)
        from torchao.testing.pt2e import _xnnpack_quantizer as xnnpack

        settings = xnnpack.get_symmetric_quantization_config(per_channel, is_qat=training, is_dynamic=dynamic)
        return xnnpack.XNNPACKQuantizer().set_global(settings)


def pt2e(network, kind="x86", batch=None, **settings):
    """A network after prepare_pt2e, calibration and convert_pt2e."""
    tools = need_torchao()
    with quiet():
        prepared = tools.prepare_pt2e(exported(network, batch).module(), quantizer(kind, **settings))
        for part in torch.split(images(12 * (batch or 4)), batch or 48):
            prepared(part)
        return tools.convert_pt2e(prepared)


def qat(network, kind="x86"):
    """A network after prepare_qat_pt2e, a pass in training, and convert_pt2e."""
    tools = need_torchao()
    from torchao.quantization.pt2e import move_exported_model_to_eval

    with quiet():
        prepared = tools.prepare_qat_pt2e(exported(network.train()).module(), quantizer(kind, training=True))
        prepared(images(64))
        move_exported_model_to_eval(prepared)
        prepared(images(64))
        return tools.convert_pt2e(prepared)


@cache
def _prepared(name, engine):
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_fx

    prepared = prepare_fx(made(name), get_default_qconfig_mapping(engine), (images(4),))
    prepared(images(64))
    return prepared


def converted(name, engine="x86"):
    """A network after torch.ao's prepare_fx, calibration and convert_fx."""
    from torch.ao.quantization.quantize_fx import convert_fx

    with quiet():
        torch.backends.quantized.engine = engine
        return convert_fx(copy.deepcopy(_prepared(name, engine)))

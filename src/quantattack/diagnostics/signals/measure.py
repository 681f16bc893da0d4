"""A network's signals as a record holds them: spectra, propagation, curves against beta, CLEVER."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.data.probe import draw_probe
from quantattack.diagnostics.signals.clever import Clever
from quantattack.diagnostics.signals.propagation import Measured, error_norm, gradient_norms, propagate
from quantattack.diagnostics.signals.spectrum import Spectrum, linearize, softmax_spectrum, spectrum
from quantattack.errors import InputError
from quantattack.gradients import called, differences, hessian_norm, placement
from quantattack.record.signals import Signal
from quantattack.rng import Rng
from quantattack.types import Images, Indices, Labels, Model

REACH = 130.0  # margins that the curves reach: beyond 104, where float32's cross entropy has no gradient left
POINTS = 160
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Case:
    """A network with the correctly classified images that its signals are measured on.

    Arguments:
        model: Maps images in [0, 1] to logits.
        images: Correctly classified images with shape (n, ...).
        labels: True classes with shape (n,).
        index: The images' indices in their data set, with shape (n,).
        probe: The images that NJS is fitted on.
        std: The channels' standard deviations, for normalized pixels; None for pixels of [0, 1].
    """

    model: Model
    images: Images
    labels: Labels
    index: Indices
    probe: Tensor
    std: tuple[float, ...] | None = None

    @property
    def unit(self) -> str:
        return "pixel" if self.std is None else "normalized"

    def temperatures(self) -> dict[str, Temperature]:
        """Return no scaling, NJS, HNS as published, HNS and Gap, by name."""
        njs = Njs.fit(self.model, self.probe, self.std)
        return {"unit": unit, "njs": njs, "hns_paper": Hns.paper(), "hns": Hns(), "gap": Gap()}


def case_of(model: Model, images: Images, labels: Labels, count: int, std: Sequence[float] | None = None) -> Case:
    """Return a model with the first images of a data set that it classifies correctly.

    Raises:
        InputError: If it classifies none correctly.
    """
    device, dtype = placement(model)
    images, labels = images.to(device, dtype), labels.to(device)
    right: list[int] = []
    for first in range(0, len(images), _BATCH):
        if len(right) >= count:
            break
        with torch.no_grad():
            hit = called(model, images[first : first + _BATCH]).argmax(1) == labels[first : first + _BATCH]
        right += [first + int(at) for at in hit.nonzero()[:, 0]]
    if not right:
        raise InputError("the model classifies no image correctly, so there is no signal to follow; check the data")
    chosen = torch.tensor(right[:count], device=device)
    deviations = None if std is None else tuple(std)
    return Case(model, images[chosen], labels[chosen], chosen, draw_probe(images), deviations)


def propagation_signals(name: str, data: str, case: Case) -> list[Signal]:
    """Measure singular values, error signal and input gradient at each temperature, and the curves of one image."""
    temperatures = case.temperatures()
    measured = propagate(case.model, case.images, case.labels, temperatures, case.std)
    signals = []
    for temperature, at in measured.at.items():
        columns = {field: values.tolist() for field, values in vars(at).items()}
        numbers = {"image": case.index.tolist(), **columns}
        signals.append(Signal(name, data, "propagation", temperature, case.unit, numbers))
        values = _plain(spectrum(measured.singular, at.beta))
        signals.append(Signal(name, data, "singular_values", temperature, case.unit, values))
    return [*signals, Signal(name, data, "curves", "", case.unit, curves(case, measured, temperatures))]


def _plain(values: Spectrum) -> dict[str, Any]:
    plain = vars(values)
    return {key: value.tolist() if isinstance(value, Tensor) else value for key, value in plain.items()}


def curves(case: Case, measured: Measured, temperatures: Mapping[str, Temperature]) -> dict[str, Any]:
    """Return every quantity against beta for the image whose margin is the median.

    Arguments:
        case: The network and its images.
        measured: What `propagate` found on them.
        temperatures: The temperatures whose choices are marked.
    """
    top = measured.logits.double().topk(2, dim=1).values
    gaps = top[:, 0] - top[:, 1]
    place = int(gaps.argsort()[len(gaps) // 2])
    image, label = case.images[place : place + 1], case.labels[place : place + 1]
    logits, rows = linearize(case.model, image, case.std)
    gap = float(gaps[place])
    beta = _betas(gap).to(logits.device)[None]
    exact, sign = gradient_norms(rows, logits, label, beta)
    seen, seen_sign = gradient_norms(rows, logits, label, beta, exact=False)
    against = {
        "softmax": softmax_spectrum(logits, beta),
        "error": error_norm(logits, label, beta),
        "hessian": hessian_norm(differences(rows, logits), logits, beta),
        "gradient": exact,
        "sign": sign,
        "gradient_float": seen,
        "sign_float": seen_sign,
    }
    columns = {key: values[0].tolist() for key, values in against.items()}
    marks = {key: float(at.beta[place]) for key, at in measured.at.items() if key in temperatures}
    where = {"image": int(case.index[place]), "label": int(label), "margin": gap}
    return {**where, "beta": beta[0].tolist(), **columns, "marks": marks}


def _betas(gap: float) -> Tensor:
    """Return betas: dense where the Hessian's norm has its peak, and up to where float32 has no gradient."""
    near = torch.linspace(0.05, 12, POINTS, dtype=torch.float64)
    far = torch.linspace(12, REACH, POINTS, dtype=torch.float64)[1:]
    return torch.cat([near, far]) / (gap or 1.0)


DEFAULT = Clever()
CLEVER_TEMPERATURES = ("unit", "fixed", "njs", "hns_paper", "hns")


def clever_signals(
    name: str,
    data: str,
    case: Case,
    count: int,
    wanted: Sequence[str] = CLEVER_TEMPERATURES,
    *,
    fixed: float = 0.01,
    clever: Clever = DEFAULT,
) -> list[Signal]:
    """Measure CLEVER under L1 on the first images: unscaled, at a fixed beta, with NJS and with HNS.

    Arguments:
        name: Name of the network.
        data: Name of the data set.
        case: The network and its images.
        count: Number of images.
        wanted: Names of the temperatures.
        fixed: The fixed beta.
        clever: How it is measured; its temperature and its pixels are set here.
    """
    chosen: dict[str, Temperature] = {**case.temperatures(), "fixed": Fixed(fixed)}
    images, labels, rng = case.images[:count], case.labels[:count], Rng(0, case.index[:count].cpu())
    signals = []
    for key in wanted:
        measured = replace(clever, temperature=chosen[key], std=case.std)
        scores = measured(case.model, images, labels, rng)
        numbers = {"image": case.index[:count].tolist(), "score": scores.tolist()}
        signals.append(Signal(name, data, "clever", key, case.unit, numbers))
    return signals

"""Checks of a deployed file: its twin, its input's grid, and whether other kernels are right on other images."""

import torch

from quantattack.deployed.agreement import agreement, clipped_share, outputs_of, saturated_share
from quantattack.deployed.base import DeployedModel, deployed_in
from quantattack.diagnostics.case import SHARE, Case, many, percent
from quantattack.evaluation.deployed import in_pixels
from quantattack.record.findings import Finding
from quantattack.types import Labels

_OFF_SCALE = 1.05  # levels of a pixel: a wider step of the input makes neighboring pixel values one


def model_of(case: Case) -> DeployedModel | None:
    """Return the deployed model of a case; None where it is none."""
    return deployed_in(case.host)


def twin_check(case: Case, model: DeployedModel) -> Finding:
    """Whether the twin, which is searched, predicts what the runtime does, which judges.

    Arguments:
        case: The model and the images that it classifies correctly.
        model: The deployed model in it.
    """
    if model.twin is None:
        says = "the file has no twin, so no gradient attack works on it"
        return Finding("twin", "cannot tell", "", says, "name the float network with --float")
    case.host.passes.forward(2 * len(case))
    agreed = agreement(model, case.images.float())
    differing = round((1 - agreed.argmax) * len(case))
    data = {"differing": agreed.differing, "step": agreed.step, "argmax": agreed.argmax, "images": len(case)}
    says = f"twin and {model.artifact.runtime}: {agreed.words}"
    if many(differing, len(case)):
        return Finding("twin", "fail", "inexact_twin", says, "search longer, and transfer from the float network", data)
    return Finding("twin", "pass", "", says, data=data)


def softmax_check(case: Case, model: DeployedModel) -> Finding:
    """Whether the softmax at the end of the file is flat, so that an attack on its outputs stands still.

    Arguments:
        case: All images.
        model: The deployed model in it.
    """
    if not model.softmax:
        return Finding("softmax", "pass", "", "the file ends in no softmax")
    case.host.passes.forward(len(case))
    share = saturated_share(outputs_of(model, case.images))
    says = f"the softmax's largest output is at its maximum on {percent(share)} of {len(case)} images"
    if share < SHARE:
        return Finding("softmax", "pass", "", says, data={"saturated": share})
    advice = "climb what enters the softmax, as quantattack's attacks on a deployed file do, and not its outputs"
    return Finding("softmax", "fail", "saturated_softmax", says, advice, {"saturated": share})


def input_check(case: Case, model: DeployedModel) -> Finding:
    """Whether the input's quantization clips pixels, where the derivative is zero, or is coarser than they are.

    Arguments:
        case: All images.
        model: The deployed model in it.
    """
    share, quantized = clipped_share(case.images.float(), model), model.quantized
    if share is None or quantized is None:
        return Finding("input grid", "pass", "", "the input is not quantized first")
    step = in_pixels(model, quantized.scale)
    says = f"a step of the input is {step:.3g} levels of a pixel, and {percent(share)} of the pixels are clipped"
    data = {"step": step, "clipped": share}
    if share >= SHARE:
        advice = "a clipped pixel has no derivative: see that --range is right, and calibrate on whole images"
        return Finding("input grid", "fail", "clipped_pixels", says, advice, data)
    wide = f"{says}; attacks below one step of it are not seen" if step > _OFF_SCALE else says
    return Finding("input grid", "pass", "", wide, data=data)


def kernels_check(case: Case, model: DeployedModel, variant: str) -> Finding:
    """On how many images the same file is right under other kernels.

    Arguments:
        case: All images.
        model: The deployed model in it.
        variant: The other runtime, as `load` takes it.
    """
    name = f"kernels, {variant}"
    other = model.file.under(variant)()
    own, others = (_predicted(case, each) for each in (model, other))
    right, right_there = (int((predicted == case.labels).sum()) for predicted in (own, others))
    differing = int((own != others).sum())
    says = (
        f"the same file is right on {right} of {len(case)} images here and on {right_there} under {variant}, "
        f"which predicts another class on {differing}: a robustness number is one of file and runtime"
    )
    data = {"right": right, "right_there": right_there, "differing": differing, "images": len(case)}
    if many(differing, len(case)):
        return Finding(name, "fail", "kernel_dependent", says, "evaluate under the runtime that ships", data)
    return Finding(name, "pass", "", says, data=data)


def _predicted(case: Case, model: DeployedModel) -> Labels:
    """Return what a model predicts for every image of a case."""
    case.host.passes.forward(len(case))
    batches = torch.split(case.images, case.batch_size)
    return torch.cat([model.judge(batch).argmax(1) for batch in batches]).to(case.labels.device)

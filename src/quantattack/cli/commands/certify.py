"""The command `certify`."""

from typing import Annotated

import typer

from quantattack.cli.options import (
    Architecture,
    Data,
    DataRoot,
    Images,
    Out,
    Part,
    Pixels,
    Quiet,
    SaveImages,
    Seed,
    WorkerCount,
)


def certify(
    model: Annotated[list[str], typer.Argument(help="Names of the zoo, checkpoints, my.py:name, or weights.")],
    data: Data = None,
    data_root: DataRoot = None,
    norm: Annotated[str, typer.Option(help="linf; under l2 and l1 there are bounds, and no complete search.")] = "linf",
    radius: Annotated[str | None, typer.Option(help="Radius, 8/255, or several, a,b; else the data's.")] = None,
    attacks: Annotated[str, typer.Option(help="Attacks before, a,b[steps=40].")] = "standard",
    seconds_per_image: Annotated[str, typer.Option(help="Time for the complete search of an image.")] = "10",
    architecture: Architecture = None,
    images: Images = None,
    pixels: Pixels = None,
    seed: Seed = 0,
    part: Part = "1/1",
    save_images: SaveImages = "",
    workers: WorkerCount = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Find robust accuracy from both sides: what attacks break, and what is proved that nothing can break."""
    from quantattack.cli.certify import certify_plan
    from quantattack.cli.evaluate import plan_of
    from quantattack.cli.names import number

    seconds = number(seconds_per_image, "--seconds-per-image")
    what = {"models": model, "data_root": data_root, "attacks": attacks, "architecture": architecture}
    how = {"images": images, "seed": seed, "workers": workers, "out": out}
    plan = plan_of(norm, radius, pixels, data, "", save_images, **what, **how)
    certify_plan(plan, seconds, part, not quiet)

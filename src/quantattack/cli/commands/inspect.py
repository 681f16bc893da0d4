"""The command `inspect`."""

from quantattack.cli.options import Architecture, Data, DataRoot, Layout, Mean, Network, One, Range, RuntimeName, Std


def inspect(
    model: Network,
    data: Data = None,
    data_root: DataRoot = None,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    runtime: RuntimeName = None,
    one_logit: One = False,
) -> None:
    """Print what is really quantized, judged by the levels of the tensors; of a deployed file, what runs and how."""
    from quantattack.cli.deployed import file_options
    from quantattack.cli.inspect import print_inspection

    options = file_options(layout, range_, mean, std, runtime, data_root, one_logit, architecture)
    print_inspection(model, data, data_root, options)

"""The digits of scikit-learn, read from its file: its import takes longer than many a run on them."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantattack.data.readers import Arrays

# Rows of the 500 test images, then of the training images: scikit-learn's `train_test_split`, stratified, of seed 0.
ORDER, TESTS = Path(__file__).with_name("digits_order.npy"), 500


@cache
def digits(split: str) -> Arrays:
    """Return the images of a split as bytes from 0 to 16, and their labels."""
    rows = np.load(ORDER, allow_pickle=False)
    table = digits_table()[rows[:TESTS] if split == "test" else rows[TESTS:]]
    return table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)


def digits_table() -> NDArray[np.uint8]:
    """Return 64 pixels and a label for each of 1,797 images, in scikit-learn's order."""
    package = find_spec("sklearn")
    for place in (package and package.submodule_search_locations) or ():
        path = Path(place) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",", dtype=np.uint8)
    from sklearn.datasets import load_digits  # of a release that keeps them elsewhere

    found = load_digits()
    return np.column_stack([found.data, found.target]).astype(np.uint8)

import pytest

from quantattack.data.sets import load_data
from quantattack.nn.zoo import load_model


@pytest.fixture(scope="session")
def zoo():
    """The carried digits networks by the end of their names."""
    return {name: load_model(f"digits-{name}") for name in ("float", "mdtanhs-bn", "mdtanhs", "bnn-waq")}


@pytest.fixture(scope="session")
def probe_images():
    """Forty test digits."""
    images, labels = load_data("digits")
    return images[:40], labels[:40]

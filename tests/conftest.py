"""What every test shares: quiet threads, a steady hypothesis, and small networks."""

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: idle threads must not spin
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is started as often as here is compiled once
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 4e9:
    # `tmp_path` in memory: a record waits for the disk at each batch, of which the tests have thousands
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")

from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor, nn

from typed import check_types

sys.dont_write_bytecode = False
check_types()  # before anything of the package is imported

from deployed.fake import SUFFIX, read_fake, write_fake  # noqa: E402
from networks import digits_network, linear_model, relu_network  # noqa: E402
from quantattack import progress  # noqa: E402
from quantattack.deployed.readers import READERS  # noqa: E402

torch.set_num_threads(min(2, torch.get_num_threads()))
settings.register_profile(
    "steady", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("drawn", settings.get_profile("steady"), derandomize=False, database=None)
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("hypothesis_seed", None) is not None:  # `scripts/shuffled.sh`: other draws in each run
        settings.load_profile("drawn")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from scheduling import Scheduling  # there is no xdist where there is no hook

    return Scheduling(config, log)


@pytest.fixture(autouse=True, scope="session")
def untimed() -> Iterator[None]:
    """Print no line because a machine is slow: tests compare all that is said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "EVERY", float("inf"))
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave shapes unchecked in a long test of parts whose shapes other tests check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's folder as working directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        spec = getattr(sys.modules[name], "__spec__", None)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
        if any(place and Path(place).is_relative_to(tmp_path) for place in places):
            del sys.modules[name]


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """A random ReLU network on 1x4x4 images with 10 classes."""
    return relu_network(0, (1, 4, 4))


@pytest.fixture(scope="session")
def images() -> Tensor:
    """Twenty-four images for `network`."""
    return torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def labels(network: nn.Module, images: Tensor) -> Tensor:
    """What `network` predicts, but for the first two images, which are wrong from the start."""
    with torch.no_grad():
        predicted = network(images).argmax(1)
    predicted[:2] = (predicted[:2] + 1) % 10
    return predicted


@pytest.fixture(scope="session")
def linear() -> nn.Module:
    """A linear model on 6 pixels whose loss has one direction everywhere."""
    return linear_model(0, (6,))


@pytest.fixture(scope="session")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    """A network trained on scikit-learn's digits, and 200 images and labels that it has not seen."""
    return digits_network()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of the tests' own deployed format into the test's folder."""
    monkeypatch.setitem(READERS, SUFFIX, read_fake)
    return lambda name="model.fake", **settings: write_fake(tmp_path / name, **settings)

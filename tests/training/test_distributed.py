import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.nn.architectures import build
from quantattack.training.distributed import ProcessGroup
from quantattack.training.fit import fit
from quantattack.training.schedules import Constant
from quantattack.training.settings import Settings

SETTINGS = Settings(epochs=2, batch_size=32, rate=Constant(1e-2), optimizer="sgd")

SCRIPT = """
import sys
from training_of_two import train
from quantattack.training.distributed import assemble
from safetensors.torch import save_file

with assemble() as processes:
    model = train(processes)
    save_file(model.state_dict(), f"{sys.argv[1]}/{processes.rank}.safetensors")
"""

MODULE = """
import torch
from quantattack.data.sets import load_data
from quantattack.nn.architectures import build
from quantattack.training.fit import fit
from quantattack.training.settings import Settings
from quantattack.training.schedules import Constant


def train(processes):
    torch.manual_seed(0)
    model = build("daa-fashion", {"width": 0.05}).double()
    images, labels = load_data("digits", split="train")
    images = torch.nn.functional.interpolate(images[:64], (28, 28)).double()
    settings = Settings(epochs=2, batch_size=32, rate=Constant(1e-2), optimizer="sgd")
    fit(model, images, labels[:64], settings, processes=processes)
    return model
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_two_processes_train_the_network_that_one_trains(tmp_path):
    (tmp_path / "training_of_two.py").write_text(MODULE)
    (tmp_path / "script.py").write_text(SCRIPT)
    # What torchrun sets, without the time that its launcher takes.
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    common = {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    environment = os.environ | common | {"MASTER_PORT": str(free_port())}
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment | {"RANK": str(rank)}) for rank in (0, 1)]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    torch.manual_seed(0)
    alone = build("daa-fashion", {"width": 0.05}).double()
    images, labels = load_data("digits", split="train")
    images = torch.nn.functional.interpolate(images[:64], (28, 28)).double()
    fit(alone, images, labels[:64], SETTINGS)
    states = [load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1)]
    for name, tensor in alone.state_dict().items():
        assert torch.equal(states[0][name], states[1][name])
        torch.testing.assert_close(states[0][name], tensor, rtol=1e-9, atol=1e-12)


def test_a_batch_is_shared_evenly():
    x, y = torch.arange(7), torch.arange(7)
    shares = [next(ProcessGroup(rank, 3).share([(x, y)]))[0].tolist() for rank in range(3)]
    assert shares == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(InputError, match="too small for 9 processes"):
        list(ProcessGroup(0, 9).share([(x, y)]))

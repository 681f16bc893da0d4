import pytest
import torch

from quantattack.errors import InputError
from quantattack.nn.packing import from_bits, pack, to_bits, unpack


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
def test_bits_come_back(bits, count):
    indices = torch.randint(2**bits, (count,), generator=torch.Generator().manual_seed(count))
    packed = to_bits(indices, bits)
    assert len(packed) == -(-count * bits // 8)
    assert torch.equal(from_bits(packed, bits, count), indices)


def tensors():
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(2, (16, 3, 3, 3), generator=generator) * 2.0 - 1
    return {
        "binary": signs,
        "scaled": signs * torch.rand(16, 1, 1, 1, generator=generator),
        "ternary": torch.randint(-1, 2, (100,), generator=generator) * 0.37,
        "grid": torch.randint(-7, 8, (40, 40), generator=generator) / 7,
        "float": torch.randn(20, 20, generator=generator),
        "half": torch.randn(20, 20, generator=generator).half(),
        "short": torch.ones(3),
        "count": torch.tensor(5),
    }


def test_a_state_comes_back_bit_for_bit():
    state = tensors()
    result = unpack(pack(state), {name: tensor.shape for name, tensor in state.items()})
    assert result.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(result[name].to(tensor.dtype), tensor), name


def test_half_precision_is_kept_in_half_the_size():
    rounded = tensors()["float"].half().float()
    assert pack({"w": rounded})["w"].dtype == torch.float16
    assert pack(tensors())["float"].dtype == torch.float32


def test_a_binary_weight_takes_one_bit():
    packed = pack({"w": tensors()["binary"]})
    assert packed["w.index"].numel() * 8 == 16 * 27
    assert packed["w.levels"].tolist() == [-1.0, 1.0]
    assert pack({"w": tensors()["scaled"]})["w.index"].numel() * 8 == 16 * 27


@pytest.mark.parametrize("shape", [(5,), (16, 3, 3, 4)])
def test_a_size_that_does_not_fit_is_refused(shape):
    with pytest.raises(InputError, match="size of its shape"):
        unpack(pack({"w": tensors()["binary"]}), {"w": torch.Size(shape)})

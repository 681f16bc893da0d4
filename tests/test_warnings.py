"""Warnings of this package and its tests are failures; those of other libraries are not."""

import warnings

import pytest


@pytest.mark.parametrize("module", ["quantattack.attacks.ascent", "tests.test_warnings", "test_warnings", "conftest"])
def test_a_warning_of_ours_is_a_failure(module):
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)


@pytest.mark.filterwarnings("ignore:noise")  # what is printed at the end otherwise
@pytest.mark.parametrize("module", ["onnxruntime.quantization", "torch.jit", "an_extra", "sklearn"])
@pytest.mark.parametrize("kind", [UserWarning, FutureWarning, DeprecationWarning])
def test_a_warning_of_another_library_is_none(module, kind):
    with warnings.catch_warnings(record=True) as said:
        warnings.warn_explicit("other", kind, "file.py", 1, module=module, registry={})
    assert len(said) == 1

import functools

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from deployed.onnx import files


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


@pytest.fixture(scope="session")
def float_file(folder):
    """The float file of a network, by name."""

    @functools.cache
    def make(name, batch=None):
        return files.export(files.network(name), folder / f"{name}-{batch}.onnx", batch)

    return make


@pytest.fixture(scope="session")
def quantized_file(float_file):
    """The quantized file of a network, by name and variant."""

    @functools.cache
    def ready(name):
        return files.prepared(float_file(name))

    @functools.cache
    def make(name, variant="qdq-u8s8"):
        return files.quantize(ready(name), variant)

    return make

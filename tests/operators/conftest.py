import pooling_models
import pytest

from edgedeploy.operators import compile_op, toolchains
from edgedeploy.operators.compile import HEADER, host_abi


@pytest.fixture(scope="session")
def pooling():
    """The module that builds models and knows their answers."""
    return pooling_models


@pytest.fixture(scope="session")
def source():
    """The C source of the operator."""
    return HEADER.with_name("top_k_pooling.c")


@pytest.fixture(scope="session")
def compiled(source, tmp_path_factory):
    """Compile the operator for an ABI, or skip where no compiler is at hand."""
    folder = tmp_path_factory.mktemp("libraries")

    def make(abi):
        toolchain = next(one for one in toolchains() if one.abi == abi)
        if toolchain.compiler is None:
            pytest.skip(f"no compiler for {abi} at hand; {toolchain.advice}")
        return compile_op(source, toolchain, folder / f"{abi}.so")

    return make


@pytest.fixture(scope="session")
def library(compiled):
    """The operator's library for this machine."""
    return compiled(host_abi()).path

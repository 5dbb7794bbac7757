"""Compiling operators: deterministic, per ABI, and never silently left out."""

import pytest

from edgedeploy.errors import ConversionError, InputError
from edgedeploy.operators import Toolchain, compile_op, toolchains
from edgedeploy.operators.compile import ABIS, MAX_SOURCE_BYTES, host_abi

ELF_MACHINES = {"linux-x86_64": 62, "linux-aarch64": 183}


@pytest.mark.parametrize("abi", list(ELF_MACHINES))
def test_library_is_for_its_machine(compiled, abi):
    library = compiled(abi)
    data = library.path.read_bytes()
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == ELF_MACHINES[abi]
    assert library.compiler


def test_same_compiler_gives_the_same_bytes_wherever_it_works(
    compiled, source, tmp_path
):
    first = compiled(host_abi())
    elsewhere = tmp_path / "another place" / "named_otherwise.c"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(source.read_bytes())
    toolchain = next(one for one in toolchains() if one.abi == host_abi())
    again = compile_op(elsewhere, toolchain, tmp_path / "again.so")
    assert again.sha256 == first.sha256


def test_every_abi_is_listed_with_what_to_do_about_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    found = toolchains()
    assert [one.abi for one in found] == list(ABIS)
    assert all(one.compiler is None and one.advice for one in found)


def test_android_compiler_is_found_in_the_ndk(monkeypatch, tmp_path):
    folder = tmp_path / "toolchains/llvm/prebuilt/linux-x86_64/bin"
    folder.mkdir(parents=True)
    program = folder / "aarch64-linux-android24-clang"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    android = next(one for one in toolchains() if one.abi == "android-arm64-v8a")
    assert android.compiler == program


def test_missing_compiler_is_one_line(source, tmp_path):
    missing = Toolchain(abi="linux-aarch64", compiler=None, advice="install it")
    with pytest.raises(ConversionError, match="no compiler for linux-aarch64"):
        compile_op(source, missing, tmp_path / "x.so")


@pytest.mark.parametrize(
    "text", ["int f(void) { return undeclared; }", "#error no", "int unused;"]
)
def test_refused_source_gives_the_compilers_first_error(library, tmp_path, text):
    del library  # Skips where there is no compiler.
    path = tmp_path / "op.c"
    path.write_text(text + "\nstatic int never(void) { return 1; }\n")
    toolchain = next(one for one in toolchains() if one.abi == host_abi())
    with pytest.raises(ConversionError, match=r"compiling op\.c .*error") as refused:
        compile_op(path, toolchain, tmp_path / "op.so")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "op.so").exists()


def test_source_that_cannot_be_read_is_the_users_mistake(library, tmp_path):
    del library
    toolchain = next(one for one in toolchains() if one.abi == host_abi())
    binary, huge = tmp_path / "binary.c", tmp_path / "huge.c"
    binary.write_bytes(b"\xff\xfe\x00")
    huge.write_bytes(b" " * (MAX_SOURCE_BYTES + 1))
    for path in (tmp_path / "none.c", binary, huge, tmp_path):
        with pytest.raises(InputError):
            compile_op(path, toolchain, tmp_path / "op.so")

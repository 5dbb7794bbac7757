import functools
import hashlib
import json

import pytest
import ssh_server
from commands import run_here

from edgedeploy.formats.tar import TarEntry, write_tar_gz

# What a bundle's installer does, without the wheels: check, copy, switch.
INSTALLER = """\
#!/bin/sh
set -eu
cd -- "$(dirname -- "$0")"
sha256sum -c --quiet --strict SHA256SUMS
{extra}
prefix=$HOME/.local/opt/edgedeploy/tiny
id=$(sha256sum SHA256SUMS | cut -c1-16)
mkdir -p "$prefix/versions"
cp -R . "$prefix/versions/$id"
: >"$prefix/versions/$id/.complete"
ln -sfn "versions/$id" "$prefix/current"
echo installed
"""


@functools.cache
def _possible():
    return ssh_server.is_possible()


@pytest.fixture
def serve(tmp_path):
    """Start a real sshd; call it with the arguments of `ssh_server.Server`."""
    if not _possible():
        pytest.skip(ssh_server.MISSING)
    servers = []

    def start(**arguments):
        folder = tmp_path / f"server{len(servers)}"
        servers.append(ssh_server.Server(folder, **arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def ask(capsys):
    """Run a task for the host `board`; give exit code, its JSON, and stderr."""

    def run(task, *flags):
        code, out, err = run_here(capsys, task, *flags, "--json")
        hosts = json.loads(out)["hosts"] if out else {}
        return code, hosts.get("board"), err

    return run


@pytest.fixture
def make_bundle(tmp_path):
    """Write a bundle as an archive: real in structure, small in content."""

    def make(name="bundle", *, extra="", arch="x86_64", python="3.11", **files):
        """Files are given as models__more=bytes for models/more."""
        top = f"tiny-pi-{python}-{arch}"
        digest = hashlib.sha256(b"model").hexdigest()
        contract = {"variants": {"int8": {"sha256": digest}}}
        target = {"kind": "raspberry_pi", "python": python, "arch": arch}
        contents = {
            "install.sh": INSTALLER.replace("{extra}", extra).encode(),
            "contract.json": json.dumps(contract, indent=1).encode(),
            "manifest.json": json.dumps({"model": "tiny", "target": target}).encode(),
            "labels.txt": b"a\nb\n",
            "empty.txt": b"",
            "models/int8.tflite": noise(5_000_000, 1),
            "wheels/one.whl": noise(1_000_000, 2),
            **{key.replace("__", "/"): value for key, value in files.items()},
        }
        sums = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {key}\n"
            for key, data in sorted(contents.items())
        )
        contents["SHA256SUMS"] = sums.encode()
        path = tmp_path / name / f"{top}.tar.gz"
        path.parent.mkdir()
        write_tar_gz(
            path,
            [
                TarEntry(
                    name=f"{top}/{key}", source=data, executable=key == "install.sh"
                )
                for key, data in contents.items()
            ],
        )
        return path

    return make


@functools.cache
def noise(size, seed):
    """Bytes that no compression shortens."""
    import numpy as np

    return np.random.default_rng(seed).bytes(size)

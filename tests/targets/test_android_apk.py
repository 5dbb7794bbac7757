import resource
import shutil
import subprocess
import sys
import zipfile

import pytest

from edgedeploy.errors import FormatError, InputError, PackageError
from edgedeploy.formats.apksig import verify
from edgedeploy.formats.axml import read_manifest
from edgedeploy.targets.android.apk import map_asset, write_asset_apk
from edgedeploy.targets.android.keystore import load_debug_key

# Zeros compress: a writer that deflates models would be seen.
MODEL = b"\x1c\0\0\0TFL3" + bytes(200_000)
LABELS = b"cat\ndog\n"
FACTS = {
    "package": "org.example.tiny",
    "version_code": 12,
    "version_name": "1.2",
    "label": "Tiny <&> \"déjà\" 'vu'",
}


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return load_debug_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def apk(tmp_path_factory, key):
    folder = tmp_path_factory.mktemp("apk")
    model = folder / "model.tflite"
    model.write_bytes(MODEL)
    path = folder / "out" / "tiny.apk"
    files = {"assets/model.tflite": model, "assets/labels.txt": LABELS}
    write_asset_apk(path, **FACTS, files=files, key=key)
    return path


def test_package_verifies_and_says_what_it_is(apk, key):
    report = verify(apk)
    assert report.verified
    assert report.schemes == (1, 2, 3)
    assert report.certificate_sha256 == key.certificate_sha256
    with zipfile.ZipFile(apk) as archive:
        assert archive.testzip() is None
        facts = read_manifest(archive.read("AndroidManifest.xml"))
        assert archive.read("assets/labels.txt") == LABELS
        compressed = archive.getinfo("assets/labels.txt").compress_type
        assert compressed == zipfile.ZIP_DEFLATED
    assert facts.package == "org.example.tiny"
    assert (facts.version_code, facts.version_name) == (12, "1.2")
    assert facts.label == FACTS["label"]
    assert (facts.min_sdk, facts.target_sdk) == (24, 36)
    assert facts.has_code is False


def test_model_is_mapped_as_android_does(apk):
    view, offset = map_asset(apk, "assets/model.tflite")
    assert offset % 4096 == 0
    assert view.readonly
    assert view == MODEL
    assert apk.read_bytes()[offset : offset + len(MODEL)] == MODEL


def test_compressed_and_missing_assets_cannot_be_mapped(apk, tmp_path):
    with pytest.raises(FormatError, match="compressed"):
        map_asset(apk, "assets/labels.txt")
    with pytest.raises(FormatError, match="no entry"):
        map_asset(apk, "assets/other")
    with pytest.raises(InputError):
        map_asset(tmp_path / "none.apk", "assets/model.tflite")


def test_unaligned_asset_is_mapped_at_its_offset(tmp_path):
    path = tmp_path / "other.apk"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first", b"x" * 5000)
        archive.writestr("second", b"content")
        archive.writestr("empty", b"")
    view, offset = map_asset(path, "second")
    assert bytes(view) == b"content"
    assert offset % 4096 != 0
    with pytest.raises(FormatError, match="empty"):
        map_asset(path, "empty")


def test_order_of_the_files_does_not_matter(apk, key, tmp_path):
    again = tmp_path / "again.apk"
    files = {"assets/labels.txt": LABELS, "assets/model.tflite": MODEL}
    write_asset_apk(again, **FACTS, files=files, key=key)
    assert again.read_bytes() == apk.read_bytes()


@pytest.mark.parametrize(
    "package",
    ["tiny", "org..a", "1a.b", "org.example.", "a.b-c", "a.b\n", "ä.b", "a." * 150],
)
def test_package_names_that_android_refuses_are_refused(tmp_path, key, package):
    path = tmp_path / "a.apk"
    with pytest.raises(InputError, match="package name"):
        write_asset_apk(path, **{**FACTS, "package": package}, files={}, key=key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"version_code": 0},
        {"version_code": 2_100_000_001},
        {"version_name": ""},
        {"label": "a\nb"},
        {"label": "x" * 1001},
        {"files": {"lib/x.so": b""}},
        {"files": {"assets/../x": b""}},
        {"files": {"assets/": b""}},
    ],
)
def test_values_that_make_no_package_are_refused(tmp_path, key, change):
    with pytest.raises(InputError):
        write_asset_apk(tmp_path / "a.apk", **{**FACTS, "files": {}, **change}, key=key)
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_the_old_package(tmp_path, key):
    path = tmp_path / "a.apk"
    path.write_bytes(b"old")
    missing = {"assets/a.tflite": tmp_path / "none.tflite"}
    with pytest.raises(InputError, match="cannot be read"):
        write_asset_apk(path, **FACTS, files=missing, key=key)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_cannot_be_made_is_a_package_error(tmp_path, key):
    (tmp_path / "file").write_text("")
    with pytest.raises(PackageError):
        write_asset_apk(tmp_path / "file" / "a.apk", **FACTS, files={}, key=key)


def test_full_disk_is_a_package_error_and_leaves_nothing(tmp_path, key):
    # A limit on the size of files fails writes as a full disk does.
    import signal

    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old_limit[1]))
    try:
        with pytest.raises(PackageError):
            write_asset_apk(
                tmp_path / "a.apk", **FACTS, files={"assets/a.tflite": MODEL}, key=key
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert list(tmp_path.iterdir()) == []


def test_large_models_are_streamed(tmp_path, key):
    model = tmp_path / "large.tflite"
    with model.open("wb") as file:
        file.truncate(150 << 20)
    program = """if True:
    import pathlib, re, sys
    from edgedeploy.targets.android.apk import write_asset_apk
    from edgedeploy.targets.android.keystore import load_debug_key
    folder = pathlib.Path(sys.argv[1])
    key = load_debug_key(folder / "keys")
    write_asset_apk(folder / "a.apk", package="a.b", version_code=1, version_name="1",
        label="a", files={"assets/a.tflite": folder / "large.tflite"}, key=key)
    # Not getrusage: that counts what the process was before exec, too.
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
    """
    result = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) < 120_000, "KiB; the model alone has 153,600"


@pytest.mark.parametrize(
    ("command", "package", "expected"),
    [
        (["apksigner", "verify", "-v"], "apksigner", "Verifies"),
        (
            ["apksigner", "verify", "--min-sdk-version=21", "--max-sdk-version=23"],
            "apksigner",
            "",
        ),
        (["zipalign", "-c", "-v", "4096"], "zipalign", "successful"),
        (["aapt", "dump", "badging"], "aapt", "name='org.example.tiny'"),
    ],
    ids=["apksigner", "apksigner-v1", "zipalign", "aapt"],
)
def test_androids_own_tools_accept_the_package(apk, command, package, expected):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is missing; get it with: apt-get install {package}")
    result = subprocess.run(
        [*command, apk], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert expected in result.stdout


def test_aapt_reads_the_manifests_values(apk):
    if shutil.which("aapt") is None:
        pytest.skip("aapt is missing; get it with: apt-get install aapt")
    tree = subprocess.run(
        ["aapt", "dump", "xmltree", apk, "AndroidManifest.xml"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "android:hasCode(0x0101000c)=(type 0x12)0x0" in tree
    assert "android:minSdkVersion(0x0101020c)=(type 0x10)0x18" in tree
    assert 'android:label(0x01010001)="Tiny <&> ' in tree
    assert "déjà" in tree

"""What a download weighs, and Play's limits."""

import gzip
import random
import zlib

import pytest
from hand_made_payloads import make_request

from edgedeploy.errors import PackageError
from edgedeploy.targets.android.budget import (
    NO_BROTLI,
    check_limit,
    describe_sizes,
    has_brotli,
    measure_entries,
    size_kind,
)
from edgedeploy.targets.android.kinds import KINDS

RANDOM = random.Random(4)


def test_a_file_s_sizes_are_those_of_zlib(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(100_000) + RANDOM.randbytes(1000))
    (zeros, noise) = measure_entries({"a": path, "b": RANDOM.randbytes(5000)})
    assert (zeros.name, zeros.size_bytes) == ("a", 101_000)
    # gzip is deflate with a header and a trailer of 18 bytes, at another level.
    expected = len(gzip.compress(path.read_bytes(), 6)) - 18
    assert zeros.deflated_bytes == expected
    assert noise.deflated_bytes >= 5000


def test_the_estimate_of_an_apk_is_near_its_gzip(tmp_path):
    request = make_request()
    KINDS["apk"].write(tmp_path, request)
    path = tmp_path / "colours-assets.apk"
    size = size_kind("apk", measure_entries(request.files))
    # The estimate has no padding, and a frame for the signatures.
    assert abs(size.installed_bytes - path.stat().st_size) < 20_000
    assert abs(size.download_bytes - len(zlib.compress(path.read_bytes()))) < 20_000


def test_a_pack_that_comes_later_is_unpacked_on_the_device():
    files = {"assets/labels.txt": b"label\n" * 10_000, "assets/a.tflite": bytes(10_000)}
    sizes = measure_entries(files)
    now = size_kind("asset-pack", sizes, delivery="install-time")
    later = size_kind("asset-pack", sizes, delivery="on-demand")
    assert later.installed_bytes == 70_000
    assert 10_000 < now.installed_bytes < 40_000
    assert now.download_bytes == later.download_bytes


@pytest.mark.parametrize(
    ("kind", "limit_bytes"),
    [
        ("assets", 200_000_000),
        ("aar", 200_000_000),
        ("asset-pack", 1_500_000_000),
        ("ai-pack", 1_500_000_000),
        ("aab", 1_500_000_000),
        ("apk", None),
        ("update", None),
    ],
)
def test_each_kind_has_play_s_limit(kind, limit_bytes):
    size = size_kind(kind, measure_entries({"assets/a.tflite": b"x"}))
    assert size.limit_bytes == limit_bytes
    check_limit(kind, size)


def test_over_the_limit_is_refused_with_the_reason():
    size = size_kind(
        "aar", measure_entries({"assets/a.tflite": RANDOM.randbytes(50_000)})
    )
    with pytest.raises(PackageError, match=r"base module.*0.05 MB.*asset-pack"):
        check_limit("aar", size, limit_bytes=50_000)
    check_limit("aar", size, limit_bytes=size.download_bytes)


def test_brotli_is_measured_or_its_absence_said():
    sizes = measure_entries({"assets/labels.txt": b"label\n" * 1000})
    kinds = {"apk": size_kind("apk", sizes)}
    said = describe_sizes(sizes, kinds)
    if has_brotli():
        import brotli

        assert said["unmeasured"] == {}
        expected = len(brotli.compress(b"label\n" * 1000, quality=9))
        assert abs(said["entries"][0]["brotli_bytes"] - expected) < 16
    else:
        assert said["entries"][0]["brotli_bytes"] is None
        assert kinds["apk"].download_brotli_bytes is None
        fields = ("brotli_bytes", "download_brotli_bytes")
        assert said["unmeasured"] == dict.fromkeys(fields, NO_BROTLI)

"""Globs of bundle configurations, as Java documents globs."""

import pytest

from edgedeploy.targets.android.checks.globs import MAX_GLOB, matches_glob

GRADLE = "**.[tT][fF][lL][iI][tT][eE]"


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        (GRADLE, "assets/colours/models/float32.tflite", True),
        (GRADLE, "model.TFLite", True),
        (GRADLE, "assets/model.tflite.txt", False),
        ("**.tflite", "assets/a/b.tflite", True),
        ("**.tflite", "assets/a/b.TFLITE", False),
        ("**.tflite", "assets/tflite", False),
        ("assets/**", "assets/a/b.tflite", True),
        ("assets/**", "res/a", False),
        ("assets/*.tflite", "assets/a.tflite", True),
        ("assets/*.tflite", "assets/a/b.tflite", False),
        ("assets/*/*.tflite", "assets/a/b.tflite", True),
        ("a/**/b*c", "a/x/y/bc", True),
        ("a/**/b*c", "a/x/y/b/c", False),
        ("?.bin", "a.bin", True),
        ("?.bin", ".bin", False),
        ("a?b", "a/b", False),
        ("a[!x]b", "a/b", False),
        ("a[!x]b", "ayb", True),
        ("a[!x]b", "axb", False),
        ("a[a-c]", "ab", True),
        ("a[a-c]", "ad", False),
        ("a[c-]", "a-", True),
        ("**.{tflite,bin}", "x/y.bin", True),
        ("**.{tflite,bin}", "x/y.bim", False),
        ("{a*,b}c", "aaac", True),
        ("a,b", "a,b", True),
        (r"a\*", "a*", True),
        (r"a\*", "ab", False),
        ("**", "", True),
        ("", "", True),
        ("", "a", False),
        # Malformed ones name nothing.
        ("a[", "a[", False),
        ("a[]", "a", False),
        ("{a", "a", False),
        ("{a,{b}}", "a", False),
        ("a\\", "a", False),
    ],
)
def test_a_glob_names_what_java_says(glob, path, expected):
    assert matches_glob(glob, path) is expected


def test_a_glob_that_would_backtrack_for_ever_ends():
    assert not matches_glob("**a" * (MAX_GLOB // 3) + "b", "a" * 1000)
    assert not matches_glob("*" * (MAX_GLOB + 1), "a")

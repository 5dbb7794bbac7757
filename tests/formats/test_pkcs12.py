"""The keys of a PKCS#12 keystore, and what is none."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FormatError
from edgedeploy.formats.pkcs12 import read_key_bags

KEYSTORES = Path(__file__).parents[1] / "targets" / "keystores"
TWO = base64.b64decode((KEYSTORES / "two-keys.p12.txt").read_text())


def test_keytool_s_aliases_are_read_in_the_order_of_the_file():
    bags = read_key_bags(TWO)
    assert sorted(bag.alias for bag in bags) == ["debug", "upload"]
    assert all(bag.encrypted for bag in bags)


@pytest.mark.parametrize("data", [b"", b"0\0", b"0\x03abc", TWO[:-1], TWO + b"0"])
def test_what_is_no_keystore_is_a_format_error(data):
    with pytest.raises(FormatError):
        read_key_bags(data)


@given(position=st.integers(0, len(TWO) - 1), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_changed_bytes_raise_nothing_else(position, value):
    data = bytearray(TWO)
    data[position] = value
    try:
        read_key_bags(bytes(data))
    except FormatError:
        return

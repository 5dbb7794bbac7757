"""Updates that no app takes: changed on the way, or signed all the same."""

import zipfile

from hand_made_payloads import debug_key


def swap(old, new):
    """Replace a part of the text that is there."""

    def change(text):
        assert old in text
        return text.replace(old, new)

    return change


def repeat_last_line(text):
    return text + text.splitlines(keepends=True)[-1]


def header_alone(text):
    return b"".join(text.splitlines(keepends=True)[:5])


def wrong_order(text):
    lines = text.splitlines(keepends=True)
    return b"".join([lines[0], lines[2], lines[1], *lines[3:]])


def nonsense(text):
    files = text.splitlines(keepends=True)[5:]
    return b"nonsense 99\nx\nversion -5\ncontract banana\nhuh\n" + b"".join(files)


# By name: what is made of the text of an update of version 7. UpdateManifest.kt and
# the verifier are both held against every row.
BAD_TEXTS = {
    "nonsense": nonsense,
    "empty": lambda text: b"",
    "header alone": header_alone,
    "wrong order": wrong_order,
    "a file twice": repeat_last_line,
    "blank line at the end": lambda text: text + b"\n",
    "line ends of Windows": swap(b"\n", b"\r\n"),
    "another format": swap(b"edgedeploy-update 1", b"edgedeploy-update 2"),
    "no word model": swap(b"model ", b"modell "),
    "no text": lambda text: bytes([255, 254]) + text,
    "model of other letters": swap(b"model colours", b"model colours\xc3\xa9"),
    "negative version": swap(b"version 7", b"version -7"),
    "version with a plus": swap(b"version 7", b"version +7"),
    "version with a nought": swap(b"version 7", b"version 07"),
    "version of no digits": swap(b"version 7", b"version "),
    "version of 19 digits": swap(b"version 7", b"version 1000000000000000000"),
    "version nought": swap(b"version 7", b"version 0"),
    "contract in words": swap(b"contract 1", b"contract one"),
    "another contract": swap(b"contract 1", b"contract 2"),
    "app version of a fraction": swap(b"min-app-version 5", b"min-app-version 5.0"),
    "size of 19 digits": swap(b" labels.txt", b"1000000000000000000 labels.txt"),
    "two spaces": swap(b" labels.txt", b"  labels.txt"),
    "a name that leads outside": swap(b" labels.txt", b" ../labels.txt"),
    "a name from the root": swap(b" labels.txt", b" /labels.txt"),
    "a name with a space": swap(b" labels.txt", b" labels .txt"),
    "a hidden name": swap(b" labels.txt", b" .labels.txt"),
    "a digest in capitals": lambda text: text.replace(b"file ", b"file A", 1),
}


def rewrite(path, target, change):
    """Write an update anew with other entries, as somebody on the way would."""
    with zipfile.ZipFile(path) as source:
        entries = {info.filename: source.read(info) for info in source.infolist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target


def write_signed(source, target, change):
    """Write an update with another text, signed with the key that apps trust."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    def sign(entries):
        text = change(entries["update.txt"])
        key = debug_key().private_key
        entries["update.txt"] = text
        entries["update.sig"] = key.sign(text, PKCS1v15(), hashes.SHA256())

    return rewrite(source, target, sign)

"""Which hosts a command line or a file of a fleet means."""

import pytest

from edgedeploy.devices.ssh.explain import explain
from edgedeploy.devices.ssh.hosts import Host, chosen_hosts, read_hosts
from edgedeploy.errors import InputError


@pytest.mark.parametrize(
    "destination",
    [
        "pi@raspberrypi.local", "raspberrypi", "pi@192.168.1.7", "kitchen_pi",
        "ssh://pi@10.0.0.2:2222", "ssh://pi@[fe80::1%eth0]:22", "fe80::1%wlan0",
        "first.last+ops@board-2",
    ],
)  # fmt: skip
def test_destinations_of_ssh_are_taken(destination):
    assert Host(destination=destination).name == destination


@pytest.mark.parametrize(
    "destination",
    [
        "", "-oProxyCommand=reboot", "pi@-oProxyCommand=x", "a b", "a;b", "$(x)", "a'b",
        "pi@", "@host", "ssh://h:999999", "ssh://-x", "ho\nst", "../x", "a/b",
        "pi@h`x`",
    ],
)  # fmt: skip
def test_anything_that_ssh_or_a_shell_could_misread_is_refused(destination):
    with pytest.raises(InputError, match="user@host"):
        Host(destination=destination)


def test_lines_with_comments_and_aliases(tmp_path):
    path = tmp_path / "fleet"
    path.write_text("\ufeff# the house\npi@10.0.0.2 kitchen # warm\n\n  pi@10.0.0.3\n")
    assert read_hosts(path) == (
        Host(destination="pi@10.0.0.2", alias="kitchen"),
        Host(destination="pi@10.0.0.3"),
    )


def test_toml_table_of_aliases(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text('[hosts]\nkitchen = "pi@10.0.0.2"\n"hall.1" = "pi@10.0.0.3"\n')
    assert [host.name for host in read_hosts(path)] == ["kitchen", "hall.1"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("f", "", "no host"),
        ("f", "# nobody\n", "no host"),
        ("f", "a b c\n", "line 1: expected user@host"),
        ("f", "a\n-x\n", "line 2: a host is"),
        ("f", "a x\nb x\n", "line 2: x .* occurs twice"),
        ("f", "a\na\n", "line 2: .* occurs twice"),
        ("f", "a b\nb\n", "line 2: .* occurs twice"),
        ("f", "a host\n", "another alias"),
        ("f", "a ../x\n", "alias has up to 64"),
        ("f", "".join(f"h{n}\n" for n in range(1001)), "over 1000 hosts"),
        ("f.toml", "hosts = [", "not valid TOML"),
        ("f.toml", 'hosts = ["a"]', "one table"),
        ("f.toml", '[host]\na = "b"', "one table"),
        ("f.toml", "[hosts]\na = 1", "alias"),
        ("f.toml", '[hosts]\n"" = "b"', "alias"),
    ],
)
def test_malformed_file_is_refused_with_the_place(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_hosts(path)


@pytest.mark.parametrize("data", [b"\xff\xfe\0", b"a\n" * (1 << 20)])
def test_file_that_is_no_list_is_refused(tmp_path, data):
    path = tmp_path / "fleet"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"UTF-8|larger"):
        read_hosts(path)


def test_missing_file_folder_and_both_flags_are_refused(tmp_path):
    for arguments in (
        ("", str(tmp_path / "no")),
        ("", str(tmp_path)),
        ("a", "b"),
        ("", ""),
    ):
        with pytest.raises(InputError):
            chosen_hosts(*arguments)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("pi@h: Permission denied (publickey).", "none of your keys"),
        ("No ED25519 host key is known for h and you have requested strict checking.\n"
         "Host key verification failed.", "host key is unknown"),
        ("@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n"
         "Host key verification failed.", "not the one in known_hosts"),
        ("ssh: connect to host h port 22: Connection refused", "nothing listens"),
        ("ssh: connect to host h port 22: Connection timed out", "cannot be reached"),
        ("ssh: Could not resolve hostname h: Name or service not known", "spelling"),
        ("kex_exchange_identification: Connection closed by remote host", "its log"),
        ("/f: line 3: Bad configuration option: foo\n", "refuses its own"),
        ("something new", "could not connect: something new"),
        ("", "no reason was given"),
    ],
)  # fmt: skip
def test_what_ssh_says_is_explained(said, meaning):
    assert meaning in explain(said)
    assert "\n" not in explain(said)


def test_a_stranger_s_words_cannot_steer_the_terminal():
    assert explain("\x1b[2J\x07evil\x9b") == "ssh could not connect: [2Jevil"

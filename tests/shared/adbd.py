"""A phone's side of adb: the transport protocol over TCP, in Python.

It speaks what system/core's adb/protocol.txt and adb/SYNC.TXT describe (Android Open
Source Project): CNXN, AUTH, OPEN, OKAY, WRTE and CLSE; the services shell: and
shell,v2,raw: (with its packets), and sync: (STAT, SEND, DATA, DONE, QUIT). Commands run
in this machine's sh, in a folder that stands for the phone's storage.
"""

import contextlib
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

COMMANDS = {
    name: int.from_bytes(name.encode(), "little")
    for name in ("CNXN", "AUTH", "OPEN", "OKAY", "WRTE", "CLSE")
}
NAMES = {value: name for name, value in COMMANDS.items()}
VERSION = 0x01000001
MAX_DATA = 256 * 1024
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
STDOUT, STDERR, EXIT = 1, 2, 3


class Phone:
    """A phone that listens on loopback.

    Args:
        folder: Its storage; programs in bin/ below are found first.
        model: What it calls itself.
        auth: "none", "allow" (its user allows the computer), or "ignore" (nobody
            looks at its screen).
        features: What it can do; without shell_v2 it is older than Android 7.
    """

    def __init__(self, folder, *, model="Pixel_X", auth="none", features="shell_v2"):
        self.folder = folder
        self.auth = auth
        self.tokens_signed = 0
        self.drop_after = None  # Bytes of a file after which the cable comes off.
        self._banner = f"device::ro.product.model={model};features={features};"
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        self.storage.mkdir(parents=True, exist_ok=True)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._open = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def storage(self):
        return self.folder / "data" / "local" / "tmp"

    def program(self, name, text):
        """Put a program on the phone."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def unplug(self):
        """Go away, and refuse what comes after."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self._closed:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            ).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, EOFError), connection:
            Transport(self, connection).run()


class Transport:
    """One connection of an adb server."""

    def __init__(self, phone, connection):
        self.phone = phone
        self._connection = connection
        self._writing = threading.Lock()
        self._streams = {}
        self._next = 1

    def send(self, command, first, second, data=b""):
        value = COMMANDS[command]
        header = struct.pack(
            "<6I", value, first, second, len(data), sum(data), value ^ 0xFFFFFFFF
        )
        with self._writing:
            self._connection.sendall(header + data)

    def receive(self):
        header = self._exactly(24)
        value, first, second, length, _, magic = struct.unpack("<6I", header)
        assert magic == value ^ 0xFFFFFFFF
        assert length <= MAX_DATA
        return NAMES[value], first, second, self._exactly(length)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def run(self):
        command, _, _, banner = self.receive()
        assert command == "CNXN"
        assert banner.startswith(b"host::")
        if self.phone.auth != "none":
            self._authenticate()
        self.send("CNXN", VERSION, MAX_DATA, self.phone._banner.encode())
        try:
            while True:
                self._handle(*self.receive())
        finally:
            for stream in self._streams.values():
                stream.end()

    def _authenticate(self):
        """Ask for signatures of a token until none of the keys is left."""
        while True:
            self.send("AUTH", TOKEN, 0, os.urandom(20))
            command, kind, _, data = self.receive()
            assert command == "AUTH"
            if kind == SIGNATURE:
                assert len(data) == 256
                self.phone.tokens_signed += 1
            elif kind == PUBLIC_KEY:
                if self.phone.auth == "allow":
                    return
                # The dialog stays on the screen; the computer waits.
                self.receive()

    def _handle(self, command, first, second, data):
        if command == "OPEN":
            self._begin(first, data.rstrip(b"\0").decode())
        elif second in self._streams:
            stream = self._streams[second]
            if command == "WRTE":
                self.send("OKAY", second, first)
                stream.take(data)
            elif command == "OKAY":
                stream.acknowledged.set()
            elif command == "CLSE":
                del self._streams[second]
                stream.end()

    def _begin(self, remote, service):
        kinds = {"sync:": Sync, "shell,": Shell, "shell:": Shell}
        kind = next((k for name, k in kinds.items() if service.startswith(name)), None)
        if kind is None:
            self.send("CLSE", 0, remote)
            return
        local, self._next = self._next, self._next + 1
        stream = self._streams[local] = kind(self, local, remote, service)
        self.send("OKAY", local, remote)
        threading.Thread(target=stream.run_quietly, daemon=True).start()


class Stream:
    """One service that the computer opened."""

    def __init__(self, transport, local, remote, service):
        self.transport = transport
        self._local, self._remote = local, remote
        self.service = service
        self.acknowledged = threading.Event()
        self._arrived = threading.Condition()
        self._data = bytearray()
        self._ended = False

    def take(self, data):
        with self._arrived:
            self._data += data
            self._arrived.notify_all()

    def end(self):
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()
        self.acknowledged.set()

    def read(self, count):
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._data) >= count or self._ended)
            if len(self._data) < count:
                raise EOFError
            part = bytes(self._data[:count])
            del self._data[:count]
            return part

    def write(self, data):
        for start in range(0, len(data), MAX_DATA):
            self.acknowledged.clear()
            part = data[start : start + MAX_DATA]
            self.transport.send("WRTE", self._local, self._remote, part)
            # A stream has one packet on its way at a time.
            self.acknowledged.wait(30)

    def run_quietly(self):
        with contextlib.suppress(OSError, EOFError):
            self.run()
            self.transport.send("CLSE", self._local, self._remote)


class Shell(Stream):
    """shell: gives bytes as they are, shell,v2 wraps them and tells the exit code."""

    def run(self):
        wrapped = self.service.startswith("shell,v2")
        phone = self.transport.phone
        command = self.service.partition(":")[2]
        done = subprocess.run(
            # A phone's absolute paths, in the folder that stands for it.
            ["sh", "-c", command.replace("/data/local/tmp", str(phone.storage))],
            env={"PATH": f"{phone.folder / 'bin'}:/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if not wrapped:
            self.write(done.stdout + done.stderr)
            return
        for kind, data in ((STDOUT, done.stdout), (STDERR, done.stderr)):
            if data:
                self.write(struct.pack("<BI", kind, len(data)) + data)
        self.write(struct.pack("<BIB", EXIT, 1, done.returncode & 255))


class Sync(Stream):
    """sync: takes files."""

    def run(self):
        while True:
            kind, length = struct.unpack("<4sI", self.read(8))
            if kind == b"QUIT":
                return
            name = self.read(length).decode()
            if kind == b"STAT":
                self._stat(self._place(name))
            elif kind == b"SEND":
                self._receive(self._place(name.rpartition(",")[0]))
            else:
                self._fail(f"unknown command {kind}")

    def _place(self, name):
        return self.transport.phone.folder / name.lstrip("/")

    def _stat(self, path):
        try:
            found = path.stat()
            facts = (found.st_mode, found.st_size, int(found.st_mtime))
        except OSError:
            facts = (0, 0, 0)
        self.write(struct.pack("<4sIII", b"STAT", *facts))

    def _receive(self, path: Path):
        phone = self.transport.phone
        data = bytearray()
        while True:
            kind, length = struct.unpack("<4sI", self.read(8))
            if kind == b"DONE":
                break
            assert kind == b"DATA"
            assert length <= 64 * 1024
            data += self.read(length)
            if phone.drop_after is not None and len(data) > phone.drop_after:
                phone.unplug()
                raise EOFError
        try:
            path.write_bytes(data)
        except OSError as error:
            self._fail(f"couldn't create file: {error.strerror}")
            return
        self.write(struct.pack("<4sI", b"OKAY", 0))

    def _fail(self, message):
        text = message.encode()
        self.write(struct.pack("<4sI", b"FAIL", len(text)) + text)

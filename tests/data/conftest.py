"""A tiny raw data source with every route of `fetch`, all on this machine."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlorakit import paths
from mlorakit.data.routes import MIRROR
from mlorakit.data.sources import SOURCES, Archive, RawFile, Source, Wheel


class Tiny:
    """The source `tiny`: three files in the format of MovieLens 1M."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.content = {
            "ratings.dat": b"1::92::5::978300760\n2::1::3::978302109\n",
            "users.dat": b"1::F::1::10::48067\n2::M::56::16::70072\n",
            "movies.dat": b"".join(
                f"{n}::Caf\xe9 {n} (1990)::Comedy|Sci-Fi\n".encode("latin-1")
                for n in range(1, 93)
                if n != 91  # 91 is no MovieID
            ),
        }
        self.sha256 = {
            name: hashlib.sha256(content).hexdigest() for name, content in self.content.items()
        }
        self.zip = self.zipped(
            {f"ml-tiny/{name}": content for name, content in self.content.items()}
        )

    def register(
        self,
        *,
        files: tuple[RawFile, ...] | None = None,
        archive: Archive | None = None,
        wheel: Wheel | None = None,
        by_hand: str = "",
    ) -> None:
        """Make `tiny` a source for this test."""
        files = files or tuple(
            RawFile(name, sha256, f"tiny/{name}") for name, sha256 in self.sha256.items()
        )
        self._monkeypatch.setitem(SOURCES, "tiny", Source(files, archive, wheel, by_hand))

    def archive(self, url: str) -> Archive:
        """The source's zip, published at `url`."""
        return Archive(url, "ml-tiny/", hashlib.md5(self.zip, usedforsecurity=False).hexdigest())

    @staticmethod
    def zipped(members: dict[str, bytes]) -> bytes:
        """A zip of these members."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    def alone_in(self, folder: Path, *names: str) -> bool:
        """Whether the folder has these files, all right, and nothing else, hidden or not."""
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        return found == {name: self.content[name] for name in names}


class Server:
    """A web server on this machine; `answers` maps a path to (status, declared length, body)."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, int, bytes]] = {}
        self.asked: list[str] = []
        self.encodings: list[str | None] = []
        self.ranges: list[str | None] = []
        self.goes_on = True  # answers requests for the rest of a file
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                server.encodings.append(self.headers["Accept-Encoding"])
                status, length, body = server.answers.get(self.path, (404, 0, b""))
                server.ranges.append(self.headers["Range"])
                if self.headers["Range"] and status == 200 and server.goes_on:
                    start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                    status = 206 if start < length else 416
                    body, length = body[start:], max(0, length - start)
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"

    def serve(self, path: str, body: bytes, *, missing: int = 0) -> str:
        """Serve `body` at `path`, and declare `missing` more bytes than there are."""
        self.answers[path] = (200, len(body) + missing, body)
        return self.url + path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tiny:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(paths, "checkpoint_dir", lambda key: tmp_path / "checkpoints" / key)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Tiny(monkeypatch)
    made.register()
    return made


@pytest.fixture
def mirror(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source's folder in a mirror that holds all its files."""
    folder = tmp_path / "mirror" / "tiny"
    folder.mkdir(parents=True)
    for name, content in tiny.content.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv(MIRROR, str(tmp_path / "mirror"))
    return folder


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "tiny"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.httpd.shutdown()
    made.httpd.server_close()
    thread.join()


@pytest.fixture
def pip_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip, configured as a user without network would: wheels come from a folder alone."""
    pytest.importorskip("pip", reason="The wheel route needs pip in this Python.")
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

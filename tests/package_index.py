"""Python packages made up for tests, and an index of them on this machine, as pip asks it."""

import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from explanations.files.hashes import file_hash
from explanations.files.packages import Package

# of code in a package that must never run
POISON = "raise SystemExit('a package that is fetched as data was imported')"


def build_wheel(index: Path, name: str, version: str, files: Mapping[str, bytes]) -> Package:
    """A wheel of some files, and code that must not run, in an index's folder; and what names it."""
    module, folder = name.replace("-", "_"), index / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    about = f"{module}-{version}.dist-info"
    described = {
        f"{module}/__init__.py": POISON.encode(),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**files, **described}.items():
            archive.writestr(member, content)
    (folder / "index.html").write_text(f'<a href="{path.name}#sha256={file_hash(path)}">{path.name}</a>\n')
    return Package(name, version, file_hash(path))


@contextmanager
def serve_index(index: Path, monkeypatch) -> Iterator[list[str]]:
    """Have pip ask an index of this folder, and no other; what is asked of it is listed."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=index)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ask_index(f"http://127.0.0.1:{server.server_port}", monkeypatch)
        yield asked
        server.shutdown()


def ask_index(address: str, monkeypatch) -> None:
    """Have pip ask the index at an address alone, once, and keep nothing."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"INDEX_URL": address, "RETRIES": "0", "NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)

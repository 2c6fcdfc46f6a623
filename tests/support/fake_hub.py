"""A hub of this machine: as much of the protocol as sending and fetching a few small files needs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

Files = dict[str, bytes]


@dataclass
class FakeHub:
    """Hold the repositories: name -> commit -> files, and what was asked for.

    Attributes:
        commits: of each repository, in order.
        branches: (repository, branch) -> commit.
        refused: repository -> the code by which the hub refuses it, as GatedRepo.
        fetched: paths of the files that were sent out.
    """

    commits: dict[str, dict[str, Files]] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def add(self, name: str, files: Files, branch: str = "main", deleted: Collection[str] = ()) -> str:
        """Add a commit to a branch of a repository, over the files that are there; returns its hash."""
        before = self.commits.get(name, {}).get(self.branches.get((name, branch), ""), {})
        known = self.commits.setdefault(name, {})
        commit = _hash(f"{name} {len(known)}".encode())
        rest = {path: content for path, content in before.items() if path not in deleted}
        known[commit] = {**rest, **files}
        self.branches[name, branch] = commit
        return commit

    def commit_of(self, name: str, revision: str) -> str | None:
        """Return the commit of a branch or of its own hash."""
        if revision in self.commits.get(name, {}):
            return revision
        return self.branches.get((name, revision))


@contextmanager
def serving(hub: FakeHub) -> Iterator[str]:
    """Answer as the hub would, on a port of this machine that huggingface_hub takes for the hub meanwhile."""

    class Handler(_Handler):
        repositories = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    try:
        with (
            patch.object(constants, "ENDPOINT", address),
            patch.object(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template),
            patch.object(constants, "HF_HUB_OFFLINE", False),
        ):
            yield address
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    repositories: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        hub = self.repositories
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(body)
            owner = asked.get("organization") or "user"
            name = f"{owner}/{asked['name']}"
            if name not in hub.commits:
                hub.add(name, {".gitattributes": b""})
            self._json({"url": f"https://huggingface.co/{name}", "id": name})
        elif parts[1:2] == ["validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif parts[4:5] == ["preupload"]:
            asked = json.loads(body)["files"]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            self._json({"files": [{"path": each["path"], **plain} for each in asked]})
        elif parts[4:5] == ["branch"]:
            name = "/".join(parts[2:4])
            hub.branches.setdefault((name, "/".join(parts[5:])), hub.branches[name, "main"])
            self._json({})
        elif parts[4:5] == ["commit"]:
            lines = [json.loads(line) for line in body.splitlines()]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            name = "/".join(parts[2:4])
            deleted = {line["value"]["path"] for line in lines if line["key"] == "deletedFile"}
            commit = hub.add(name, files, "/".join(parts[5:]), deleted)
            self._json(
                {
                    "commitUrl": f"https://huggingface.co/{name}/commit/{commit}",
                    "commitOid": commit,
                    "success": True,
                }
            )
        else:
            self._refuse(404, "EntryNotFound")

    def _get(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        hub, is_api = self.repositories, parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_api else parts[:2])
        if (code := hub.refused.get(name)) is not None:
            self._refuse(403 if code == "GatedRepo" else 401, code)
            return
        if name not in hub.commits:
            self._refuse(401, "RepoNotFound")
            return
        revision = (parts[5:6] or ["main"])[0] if is_api else parts[3]
        commit = hub.commit_of(name, revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
            return
        files = hub.commits[name][commit]
        if not is_api:
            self._file(files, "/".join(parts[4:]), commit)
        elif parts[4:5] == ["tree"]:
            self._json(
                [
                    {"type": "file", "path": path, "size": len(files[path]), "oid": _hash(files[path])}
                    for path in files
                ]
            )
        else:
            self._json({"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]})

    def _file(self, files: Files, path: str, commit: str) -> None:
        if path not in files:
            self._refuse(404, "EntryNotFound")
            return
        content = files[path]
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_hash(content)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.repositories.fetched.append(path)
            self.wfile.write(content)

    def _json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _hash(content: bytes) -> str:
    """As many digits as Git's have."""
    return hashlib.sha256(content).hexdigest()[:40]

"""A local server that answers like the Hugging Face hub: API, resolve with a redirect to a storage host, ETag, Range; and its failures."""

import hashlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_blob_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def environment(hub, home, **extra):
    """What makes hone ask `hub` and keep what it fetches below `home`."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": "",
        "HF_TOKEN": "",
        "HF_TOKEN_PATH": "",
        "HF_HUB_OFFLINE": "",
        "no_proxy": "127.0.0.1",
        **extra,
    }


class Hub:
    """`files` of each repository by name. Names that end in .safetensors or .bin are large files, kept at the storage path."""

    def __init__(self, repositories, token=None):
        self.repositories = repositories
        self.token = token
        self.renamed = {}  # old repository name -> new
        self.break_after = {}  # file name -> list of byte counts: each entry ends one answer early
        self.corrupt = {}  # file name -> how many answers carry a wrong byte
        self.busy = 0  # how many answers are 503
        self.ignores_range = False
        self.prefix = ""  # a path below which everything stands, as on a mirror
        self.info = None  # the answer about a repository, in place of the right one
        self.headers = {}  # file name -> headers of its HEAD answer that replace the right ones
        self.endless = set()  # file names, or "info": bodies without length and without end
        self.extra = {}  # file name -> bytes sent after the announced ones
        self.requests = []  # (method, path, headers)
        self.lock = threading.Lock()

    def start(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self, True)

            def do_HEAD(self):
                hub.answer(self, False)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # A second port is another host to a client: credentials must not follow a redirect there.
        self.storage = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.storage.daemon_threads = True
        for server in (self.server, self.storage):
            threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
            ).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.storage.shutdown()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}{self.prefix}"

    @property
    def storage_url(self):
        return f"http://127.0.0.1:{self.storage.server_address[1]}"

    def answer(self, handler, has_body):
        with self.lock:
            self.requests.append((handler.command, handler.path, dict(handler.headers)))
            is_busy = self.busy > 0
            self.busy -= is_busy
        if is_busy:
            return self.send(handler, 503, b"busy", {}, has_body)
        path = handler.path.removeprefix(self.prefix).lstrip("/")
        if handler.server is self.storage:
            repository, name = path.removeprefix("storage/").rsplit(":", 1)
            return self.send_file(handler, self.repositories[repository][name], name, {}, has_body)
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return self.send(handler, 401, b"{}", {"X-Error-Code": "GatedRepo"}, has_body)
        for old, new in self.renamed.items():
            if f"{old}/" in path:
                target = f"{self.prefix}/{path.replace(old, new, 1)}"
                return self.send(handler, 307, b"", {"Location": target}, has_body)
        if path.startswith("api/models/"):
            return self.send_info(handler, path.removeprefix("api/models/"), has_body)
        self.send_resolved(handler, path, has_body)

    def send_info(self, handler, path, has_body):
        if "info" in self.endless:
            return self.send_endless(handler, 200, {})
        if self.info is not None:
            return self.send(handler, 200, self.info, {}, has_body)
        repository, revision = path.split("/revision/")
        if repository not in self.repositories:
            return self.send(handler, 404, b"{}", {"X-Error-Code": "RepoNotFound"}, has_body)
        if revision not in ("main", "v1", COMMIT):
            return self.send(handler, 404, b"{}", {"X-Error-Code": "RevisionNotFound"}, has_body)
        files = [{"rfilename": name} for name in self.repositories[repository]]
        self.send(
            handler, 200, json.dumps({"sha": COMMIT, "siblings": files}).encode(), {}, has_body
        )

    def send_resolved(self, handler, path, has_body):
        repository, rest = path.split("/resolve/")
        _, name = rest.split("/", 1)
        if name not in self.repositories.get(repository, {}):
            return self.send(handler, 404, b"", {"X-Error-Code": "EntryNotFound"}, has_body)
        data = self.repositories[repository][name]
        if name.endswith((".safetensors", ".bin")):
            headers = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{self.storage_url}/storage/{repository}:{name}",
                **self.headers.get(name, {}),
            }
            return self.send(handler, 302, b"", headers, has_body)
        self.send_file(
            handler,
            data,
            name,
            {
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{git_blob_id(data)}"',
                **self.headers.get(name, {}),
            },
            has_body,
        )

    def send_file(self, handler, data, name, headers, has_body):
        size, status, start = len(data), 200, 0
        requested = handler.headers.get("Range")
        if requested and not self.ignores_range:
            start = int(requested.removeprefix("bytes=").split("-")[0])
            if start >= size:
                return self.send(handler, 416, b"", {"Content-Range": f"bytes */{size}"}, has_body)
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        body = data[start:]
        if has_body and self.corrupt.get(name, 0) > 0:
            self.corrupt[name] -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        if has_body and name in self.endless:
            return self.send_endless(handler, status, headers)
        if has_body and name in self.extra:
            return self.send_chunked(handler, status, headers, [body, self.extra[name]])
        if has_body and self.break_after.get(name):
            cut = self.break_after[name].pop(0)
            return self.send(
                handler, status, body[:cut], {**headers, "Content-Length": str(len(body))}, has_body
            )
        self.send(handler, status, body, headers, has_body)

    def send_endless(self, handler, status, headers):
        """Until the client has had enough."""
        self.send_chunked(handler, status, headers, itertools.repeat(b"[" * 65536))

    def send_chunked(self, handler, status, headers, pieces):
        handler.send_response(status)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.close_connection = True
        try:
            for piece in pieces:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def send(self, handler, status, body, headers, has_body):
        handler.send_response(status)
        headers = {"Content-Length": str(len(body)), **headers}
        for name, value in headers.items():
            handler.send_header(name, value)
        is_short = int(headers["Content-Length"]) != len(body)
        handler.end_headers()
        if has_body:
            handler.wfile.write(body)
        if is_short and has_body:
            handler.wfile.flush()
            handler.close_connection = True

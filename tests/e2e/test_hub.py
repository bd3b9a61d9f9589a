"""hone pull against a server that behaves like the hub, well and badly."""

import hashlib
import json
import os

import pytest
from conftest import HONE
from hub_server import COMMIT, Hub, environment, git_blob_id

WEIGHTS = bytes(i * 7 % 251 for i in range(300_000))
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b'{"model": {}}',
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"not wanted where safetensors are",
    "README.md": b"not wanted",
    "onnx/model.onnx": b"not wanted",
}


@pytest.fixture
def hub():
    server = Hub({"org/tiny": dict(FILES), "plain": dict(FILES)}).start()
    yield server
    server.stop()


@pytest.fixture
def pull(hone, hub, tmp_path):
    def run(name, code=0, **extra):
        return hone("pull", name, code=code, env=environment(hub, tmp_path / "home", **extra))

    return run


def folder(tmp_path, repository="models--org--tiny"):
    return tmp_path / "home/hub" / repository


def downloads(hub, name):
    return [
        headers for method, path, headers in hub.requests if method == "GET" and path.endswith(name)
    ]


def test_fetches_what_a_model_needs_into_the_cache_layout(pull, hub, tmp_path):
    snapshot = folder(tmp_path) / "snapshots" / COMMIT
    assert pull("org/tiny").stdout.strip() == str(snapshot)
    assert sorted(os.listdir(snapshot)) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.txt",
    ]
    assert (folder(tmp_path) / "refs/main").read_text() == COMMIT
    assert (
        os.readlink(snapshot / "model.safetensors")
        == "../../blobs/" + hashlib.sha256(WEIGHTS).hexdigest()
    )
    assert os.readlink(snapshot / "config.json") == "../../blobs/" + git_blob_id(
        FILES["config.json"]
    )
    for name in os.listdir(snapshot):
        assert (snapshot / name).read_bytes() == FILES[name]


def test_huggingface_hub_finds_what_hone_fetched(pull, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    pull("org/tiny")
    found = huggingface_hub.try_to_load_from_cache(
        "org/tiny", "model.safetensors", cache_dir=tmp_path / "home/hub"
    )
    assert open(found, "rb").read() == WEIGHTS


def test_name_without_owner_and_named_revision(pull, tmp_path):
    pull("plain")
    pull("org/tiny@v1")
    assert (folder(tmp_path, "models--plain") / "refs/main").exists()
    assert (folder(tmp_path) / "refs/v1").read_text() == COMMIT


def test_second_pull_fetches_no_contents(pull, hub):
    pull("org/tiny")
    hub.requests.clear()
    pull("org/tiny")
    assert not [path for method, path, _ in hub.requests if method == "GET" and "/api/" not in path]


def test_cached_model_needs_no_network(pull, hub, hone, tmp_path):
    pull("org/tiny")
    hub.requests.clear()
    pull("org/tiny", HF_HUB_OFFLINE="1")
    assert hub.requests == []


def test_offline_without_cache_says_where_it_looked(pull, hub, tmp_path):
    result = pull("org/tiny", code=4, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in result.stderr and str(tmp_path / "home/hub") in result.stderr
    assert hub.requests == []


def test_broken_transfer_resumes_where_it_stopped(pull, hub):
    hub.break_after["model.safetensors"] = [100_000, 50_000]
    pull("org/tiny")
    ranges = [
        headers.get("Range")
        for headers in downloads(hub, "model.safetensors")
        if "Host" in headers and hub.storage_url.endswith(headers["Host"])
    ]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_partial_file_of_an_earlier_try_is_continued(pull, hub, tmp_path):
    blobs = folder(tmp_path) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / (hashlib.sha256(WEIGHTS).hexdigest() + ".incomplete")).write_bytes(WEIGHTS[:123_456])
    pull("org/tiny")
    assert "bytes=123456-" in [
        headers.get("Range") for headers in downloads(hub, "model.safetensors")
    ]
    assert not list(blobs.glob("*.incomplete"))


def test_server_that_ignores_ranges_starts_over(pull, hub, tmp_path):
    hub.ignores_range = True
    hub.break_after["model.safetensors"] = [100_000]
    pull("org/tiny")
    assert (folder(tmp_path) / "snapshots" / COMMIT / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damaged_contents_are_fetched_again_then_refused(pull, hub, tmp_path, name):
    hub.corrupt[name] = 1
    assert "checksum" in pull("org/tiny").stderr
    hub.corrupt[name] = 2
    result = pull("plain", code=4)
    assert f"{name}: checksum" in result.stderr and "expected" in result.stderr
    blobs = folder(tmp_path, "models--plain") / "blobs"
    for blob in blobs.iterdir():  # nothing unverified is left under a final name
        data = blob.read_bytes()
        assert blob.name in (hashlib.sha256(data).hexdigest(), git_blob_id(data))


def test_stale_partial_file_of_other_contents_is_replaced(pull, hub, tmp_path):
    blobs = folder(tmp_path) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / (hashlib.sha256(WEIGHTS).hexdigest() + ".incomplete")).write_bytes(b"x" * 1000)
    pull("org/tiny")
    assert (folder(tmp_path) / "snapshots" / COMMIT / "model.safetensors").read_bytes() == WEIGHTS


def test_busy_server_is_asked_again(pull, hub):
    hub.busy = 2
    assert "503" in pull("org/tiny").stderr


def test_renamed_repository_is_followed(pull, hub):
    hub.renamed["old/name"] = "org/tiny"
    pull("old/name")


def test_token_is_sent_to_the_hub_and_to_no_other_host(pull, hub, tmp_path):
    hub.token = "hf_secret"
    result = pull("org/tiny", code=4)
    assert "HF_TOKEN" in result.stderr and "401" in result.stderr
    pull("org/tiny", HF_TOKEN="hf_secret")
    for _, path, headers in hub.requests:
        if path.startswith("/storage/"):
            assert "Authorization" not in headers
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home/token").write_text("hf_secret\n")
    pull("plain")


def test_unknown_model_and_revision(pull):
    result = pull("org/tiyn", code=4)
    assert '"org/tiyn"' in result.stderr and "owner" in result.stderr
    assert 'no revision "v9"' in pull("org/tiny@v9", code=4).stderr


@pytest.mark.parametrize(
    "name", ["a/b/c", "../x", "/no/such/folder", "org/tiny@../../x", "org/ti ny"]
)
def test_names_that_are_no_hub_names(pull, hub, name):
    assert "no hub name" in pull(name, code=4).stderr
    assert hub.requests == []


def test_unreachable_hub(pull):
    result = pull("org/tiny", code=4, HF_ENDPOINT="http://127.0.0.1:9")
    assert "could not be reached" in result.stderr and "HF_HUB_OFFLINE" in result.stderr


def test_shards_are_fetched_by_their_index(pull, hub, tmp_path):
    index = {
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        }
    }
    files = {
        **FILES,
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-00001-of-00002.safetensors": b"one",
        "model-00002-of-00002.safetensors": b"two",
    }
    del files["model.safetensors"]
    hub.repositories["org/sharded"] = files
    snapshot = pull("org/sharded").stdout.strip()
    assert open(f"{snapshot}/model-00002-of-00002.safetensors", "rb").read() == b"two"
    assert "pytorch_model.bin" not in os.listdir(snapshot)


@pytest.mark.parametrize("shard", ["../../evil", ".hidden", 7])
def test_index_that_points_out_of_its_folder_is_refused(pull, hub, tmp_path, shard):
    files = {
        **FILES,
        "model.safetensors.index.json": json.dumps({"weight_map": {"a": shard}}).encode(),
    }
    del files["model.safetensors"]
    hub.repositories["org/evil"] = files
    assert "should be a file name in this folder" in pull("org/evil", code=4).stderr


def test_repository_without_weights_or_configuration(pull, hub):
    hub.repositories["org/data"] = {"README.md": b""}
    assert "no config.json" in pull("org/data", code=4).stderr
    hub.repositories["org/onnx"] = {"config.json": b"{}", "model.onnx": b""}
    assert "none of model.safetensors" in pull("org/onnx", code=4).stderr


# ---- what the cache holds ----


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt"])
def test_damaged_blob_is_fetched_again_by_pull(pull, tmp_path, name):
    snapshot = folder(tmp_path) / "snapshots" / COMMIT
    pull("org/tiny")
    damage((snapshot / name).resolve())
    pull("org/tiny")
    assert (snapshot / name).read_bytes() == FILES[name]


def test_damaged_blob_is_noticed_when_the_model_is_used(hone, pull, hub, tmp_path):
    snapshot = folder(tmp_path) / "snapshots" / COMMIT
    pull("org/tiny")
    damage((snapshot / "model.safetensors").resolve())
    result = pull("org/tiny", code=4, HF_HUB_OFFLINE="1")
    assert "model.safetensors: is damaged" in result.stderr and "HF_HUB_OFFLINE" in result.stderr
    result = hone(  # fetched again, though its tokenizer is none
        "tokenize", "org/tiny", stdin=b"", code=4, env=environment(hub, tmp_path / "home")
    )
    assert "is damaged in the cache; fetching it again" in result.stderr
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS


# ---- a hub with a path, and a hub that means harm ----


def test_endpoint_with_a_path_follows_redirects(pull, hub):
    hub.prefix = "/mirror/hf"
    hub.renamed["old/name"] = "org/tiny"
    pull("old/name")
    assert not [path for _, path, _ in hub.requests if path.count("/mirror/hf") > 1]


SHA = f'"sha": "{COMMIT}"'


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "null",
        "7",
        '"text"',
        "{}",
        '{"sha": 7, "siblings": []}',
        '{"sha": null, "siblings": []}',
        '{"sha": ["a"], "siblings": []}',
        f"{{{SHA}}}",
        f'{{{SHA}, "siblings": null}}',
        f'{{{SHA}, "siblings": {{"rfilename": "config.json"}}}}',
        f'{{{SHA}, "siblings": ["config.json"]}}',
        f'{{{SHA}, "siblings": [7]}}',
        f'{{{SHA}, "siblings": [{{"rfilename": 7}}]}}',
        f'{{{SHA}, "siblings": [{{"name": "config.json"}}]}}',
        "<html>not json</html>",
        "",
        "[" * 100_000,
    ],
)
def test_answers_of_the_wrong_kind_are_told(pull, hub, answer):
    hub.info = answer.encode()
    stderr = pull("org/tiny", code=4).stderr
    assert "internal error" not in stderr and hub.url in stderr


@pytest.mark.parametrize(
    "headers, words",
    [
        ({"ETag": '"7"', "X-Linked-Etag": '"7"'}, "neither a SHA-256 nor a git blob id"),
        ({"X-Linked-Size": "many"}, 'gives "many" as its size'),
        ({"X-Linked-Size": "-5"}, 'gives "-5" as its size'),
        ({"X-Linked-Size": "9" * 30}, "as its size"),
        ({"X-Linked-Size": "4000000000000000000"}, "MB are free"),
        ({"Location": "http://[broken"}, "which is no URL"),
        ({"Location": "file:///etc/passwd"}, "could not be reached"),
    ],
)
def test_headers_of_the_wrong_kind_are_told(pull, hub, headers, words):
    hub.headers["model.safetensors"] = headers
    assert words in pull("org/tiny", code=4).stderr


@pytest.mark.parametrize("name", ["info", "config.json", "model.safetensors"])
def test_endless_answers_are_left(pull, hub, tmp_path, name):
    hub.endless.add(name)
    stderr = pull("org/tiny", code=4).stderr
    assert ("longer than any should be" if name == "info" else "more than the") in stderr
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.incomplete")) <= len(WEIGHTS)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_file_longer_than_announced_is_refused(pull, hub, name):
    hub.extra[name] = b"more"
    stderr = pull("org/tiny", code=4).stderr
    assert f"{name}: {hub.url} sends more than the {len(FILES[name])} bytes" in stderr


@pytest.mark.parametrize(
    "names, words",
    [
        (["README.md", "adapter_config.json", "adapter_model.safetensors"], "a PEFT adapter"),
        (["modules.json", "0_Transformer/config.json"], "is in 0_Transformer"),
        (["config.json", "model-Q4.gguf"], "a GGUF file"),
        (["config.json", "tf_model.h5"], "TensorFlow weights"),
        (["config.json", "flax_model.msgpack"], "Flax weights"),
        (["config.json", "onnx/model.onnx"], "an ONNX model"),
    ],
)
def test_repository_of_another_format_is_named(pull, hub, names, words):
    hub.repositories["org/other"] = dict.fromkeys(names, b"{}")
    assert words in pull("org/other", code=4).stderr

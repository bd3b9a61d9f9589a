"""Model folders that anybody may have written: named for what they are, and never more memory or time than their size allows."""

import json
import os
import pathlib
import shutil
import struct
import zipfile

import pytest
from conftest import HONE, WORDS, sentiment, write_jsonl, write_run
from measured import run_measured, sparse_file

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
MOST_MEGABYTES = 1024  # the test process itself counts too: a child begins as a copy of it


@pytest.fixture(scope="module")
def trained(hone, tiny_model, tmp_path_factory):
    """A finished run of a tiny model."""
    folder = tmp_path_factory.mktemp("run")
    hone("train", write_run(folder, tiny_model, num_train_epochs=1))
    return folder / "run/model"


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.fixture
def finished(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "finished")


def train(folder, model, *words):
    config = write_run(folder, model, rows=(16, 8, 0), data=splits(folder), num_train_epochs=1)
    return run_measured([HONE, "train", config, *words])


def splits(folder):
    return f"  train: {{path: {folder}/train.jsonl}}\n  validation: {{path: {folder}/dev.jsonl}}"


def predict(model):
    rows = "".join(json.dumps(row) + "\n" for row in sentiment(3))
    return run_measured([HONE, "predict", model, "-"], stdin=rows.encode())


def edit_json(path, **changes):
    content = json.loads(path.read_text())
    content.pop("sha256", None)  # hone.json's checksum of itself
    content.update(changes)
    path.write_text(json.dumps(content))


def tensors_of(model):
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def write_tensors(model, tensors):
    from safetensors.torch import save_file

    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, model / "model.safetensors"
    )


def refused(result, *words, code=4):
    assert result.code == code, result.stderr
    for word in words:
        assert word in result.stderr
    assert "internal error" not in result.stderr
    assert result.megabytes < MOST_MEGABYTES


# ---- what config.json may decide ----


@pytest.mark.parametrize(
    "key, value",
    [
        ("num_hidden_layers", 100_000),
        ("hidden_size", 2**31 - 2),  # two heads
        ("intermediate_size", 2**31 - 1),
        ("vocab_size", 1_000_000),
        ("vocab_size", 2**31 - 1),
        ("max_position_embeddings", 2**31 - 1),
        ("type_vocab_size", 2**31 - 1),
    ],
)
def test_sizes_of_config_json_take_no_memory_that_the_weights_do_not_fill(
    tmp_path, model, key, value
):
    edit_json(model / "config.json", **{key: value})
    refused(train(tmp_path, model), "does config.json belong to these weights?")


@pytest.mark.parametrize("layers", [1_000_000, 2**31 - 1])
def test_layers_that_no_network_has_are_refused_by_their_number(tmp_path, model, layers):
    edit_json(model / "config.json", num_hidden_layers=layers)
    refused(train(tmp_path, model), f"asks for {layers} layers; at most 131071 are supported.")


def test_layers_that_the_model_does_not_use_are_told(tmp_path, model):
    edit_json(model / "config.json", num_hidden_layers=1)
    result = train(tmp_path, model)
    assert result.code == 0
    assert "have 2 layers, but config.json says 1: layer 1 is not used" in result.stderr


# ---- weights ----


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_weights_that_are_no_numbers_are_named(tmp_path, model, finished, value):
    name = "encoder.layer.1.output.dense.weight"
    for folder, prefix in ((model, ""), (finished, "bert.")):
        tensors = tensors_of(folder)
        tensors[prefix + name][3, 5] = float(value)
        write_tensors(folder, tensors)
    edit_json(finished / "hone.json", files={})
    words = [f'{name}" has the value {value}', "number 198 of"]
    refused(train(tmp_path, model), *words)
    refused(predict(finished), *words)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_wrappers_are_left_out(tmp_path, model, wrapper):
    write_tensors(model, {wrapper + name: tensor for name, tensor in tensors_of(model).items()})
    assert train(tmp_path, model).code == 0


def test_the_checkpoints_own_head_is_told_when_it_is_not_taken(tmp_path, finished):
    write_jsonl(
        tmp_path / "scores.jsonl", [{"text": w, "label": i / 7} for i, w in enumerate(WORDS)]
    )
    config = write_run(
        tmp_path,
        finished,
        task="{name: classify, type: regression}",
        data=f"  train: {{path: {tmp_path}/scores.jsonl}}",
        num_train_epochs=1,
    )
    result = run_measured([HONE, "train", config])
    assert result.code == 0, result.stderr
    assert "the checkpoint's own head (classifier.weight, classifier.bias)" in result.stderr


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 90868376\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Not found</title></head></html>\n"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json"]
)
@pytest.mark.parametrize(
    "content, words", [(LFS, "is a Git LFS pointer"), (PAGE, "is a web page")], ids=["lfs", "page"]
)
def test_what_stands_in_place_of_a_file_is_named(tmp_path, model, name, content, words):
    (model / name).write_bytes(content)
    refused(train(tmp_path, model), f"{name}: {words}")


@pytest.mark.parametrize(
    "body",
    [
        "Entry not found",
        "404: Not Found",
        '{"error":"Repository not found"}',
        '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt"])
def test_what_a_server_said_instead_of_a_file_is_named(tmp_path, model, name, body):
    (model / name).write_text(body)
    refused(train(tmp_path, model), f"{name}: is what a server said instead of the file", body[:20])


@pytest.mark.parametrize("wrapper", ["model.", "0.auto_model.", "roberta."])
def test_names_behind_a_foreign_wrapper_are_told(tmp_path, model, wrapper):
    write_tensors(model, {wrapper + name: tensor for name, tensor in tensors_of(model).items()})
    refused(train(tmp_path, model), f'save them without "{wrapper}"')


def test_weights_of_an_adapter_beside_those_of_the_model_are_refused(tmp_path, model):
    tensors = tensors_of(model)
    query = "encoder.layer.0.attention.self.query"
    tensors[f"{query}.lora_A.default.weight"] = tensors[f"{query}.weight"][:4].clone()
    write_tensors(model, tensors)
    refused(train(tmp_path, model), "the weights of a PEFT adapter", "lora_A", "hone merge")


@pytest.mark.parametrize("name", ["BERT", "Bert", "distillbert", "distil-bert"])
def test_a_slip_in_the_family_gets_its_name(tmp_path, model, name):
    edit_json(model / "config.json", model_type=name)
    meant = "bert" if len(name) == 4 else "distilbert"
    refused(train(tmp_path, model), f'did you mean "{meant}"?')


def test_a_folder_of_checkpoints_names_one(tmp_path, model):
    folder = tmp_path / "trainer"
    shutil.copytree(model, folder / "checkpoint-500")
    (folder / "checkpoint-500/optimizer.pt").write_text("")
    words = ("checkpoint-500/config.json is there", "name that folder")
    refused(train(tmp_path, folder), *words)


def test_pickled_weights_that_are_a_pointer_are_named(tmp_path, model):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(LFS)
    refused(train(tmp_path, model), "pytorch_model.bin: is a Git LFS pointer")


NO_BASE = '"base_model_name_or_path" does not say which model the adapter is for'


@pytest.mark.parametrize(
    "names, kept, words",
    [
        (["adapter_config.json", "adapter_model.safetensors"], ["vocab.txt"], NO_BASE),
        (["adapter_config.json"], [], NO_BASE),
        (["modules.json", "0_Transformer/config.json"], [], "is in 0_Transformer"),
        (["model-Q4.gguf"], ["config.json", "vocab.txt", "tokenizer_config.json"], "a GGUF file"),
        (["tf_model.h5"], ["config.json", "vocab.txt", "tokenizer_config.json"], "TensorFlow"),
        (["bert_model.ckpt.index"], ["vocab.txt"], "put its bert_config.json beside it"),
        (["model_state.pdparams"], ["config.json", "vocab.txt"], "convert.py of https://github"),
        (["flax_model.msgpack"], ["config.json", "vocab.txt", "tokenizer_config.json"], "Flax"),
        (["onnx/model.onnx"], ["config.json", "vocab.txt", "tokenizer_config.json"], "ONNX"),
    ],
)
def test_folders_of_other_formats_are_named(tmp_path, model, names, kept, words):
    for path in model.iterdir():
        if path.name not in kept:
            path.unlink()
    for name in names:
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("{}")
    if "vocab.txt" in kept and "tokenizer_config.json" not in kept:
        (model / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    refused(train(tmp_path, model), words)


def test_unknown_families_get_the_known_ones(hone, tmp_path, model):
    edit_json(model / "config.json", model_type="mamba")
    result = train(tmp_path, model)
    known = ", ".join(json.loads(hone("env", "--json").stdout)["models"])
    refused(result, f'"mamba" is not supported; known are {known}.')
    assert "did you mean" not in result.stderr


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"position_embedding_type": "relative_key"},
            '"position_embedding_type" "relative_key" is not supported; only "absolute" is.',
        ),
        (
            {"hidden_act": "xielu"},
            '"hidden_act": unknown activation "xielu"; did you mean "gelu"',
        ),
        (
            {"model_type": "novelbert", "auto_map": {"AutoModel": "modeling_novel.NovelModel"}},
            "It needs code of its own (auto_map: modeling_novel.NovelModel), which is never run.",
        ),
        ({"auto_map": "modeling_novel.NovelModel"}, '"auto_map" should be an object'),
    ],
)
def test_what_needs_other_code_is_named(tmp_path, model, changes, words):
    edit_json(model / "config.json", **changes)
    refused(train(tmp_path, model), "config.json:", words)


OWN_CODE = {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}


def test_own_code_is_left_where_the_weights_are_the_familys(tmp_path, model):
    edit_json(model / "config.json", auto_map=OWN_CODE)
    result = train(tmp_path, model)
    assert result.code == 0, result.stderr
    assert (
        "config.json names code of the checkpoint's own (auto_map: modeling_own.OwnModel), which is "
        'never run; its weights are those of "bert", and it is taken for one' in result.stderr
    )
    assert "auto_map" not in json.loads((tmp_path / "run/model/config.json").read_text())


@pytest.mark.parametrize("change", ["more", "fewer"])
def test_own_code_is_refused_where_the_weights_are_others(tmp_path, model, change):
    import torch
    from safetensors.torch import save_file

    edit_json(model / "config.json", auto_map=OWN_CODE)
    tensors = tensors_of(model)
    name = "encoder.layer.0.attention.self.gate.weight"
    if change == "more":
        tensors[name] = torch.zeros(32)
    else:
        name = "embeddings.position_embeddings.weight"
        del tensors[name]
    save_file(tensors, model / "model.safetensors")
    refused(
        train(tmp_path, model),
        "(auto_map: modeling_own.OwnModel), which is never run, and its weights are not those of "
        f'"bert". {"Unknown" if change == "more" else "Missing"}: {name}.',
    )


@pytest.mark.parametrize("family", ["mpnet", "ernie", "albert", "modernbert"])
def test_weights_of_another_family_are_named(tmp_path, model, family):
    edit_json(model / "config.json", model_type=family, use_task_id=True)
    refused(train(tmp_path, model), "does config.json belong to these weights?")


def test_berts_release_for_tensorflow_trains(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"):
        shutil.copy(GOLDEN / name, folder)
    sizes = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
    config = sizes | dict(vocab_size=20, max_position_embeddings=16, type_vocab_size=2)
    (folder / "bert_config.json").write_text(json.dumps(config))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str.lower, WORDS)]
    (folder / "vocab.txt").write_text("\n".join(list(dict.fromkeys(words))[:20]) + "\n")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    result = train(tmp_path, folder)
    assert result.code == 0, result.stderr
    saved = json.loads((tmp_path / "run/model/config.json").read_text())
    assert saved["model_type"] == "bert"
    (folder / "bert_model.ckpt.data-00000-of-00001").write_bytes(b"")
    refused(train(tmp_path, folder, "--overwrite"), "reaches beyond the end of its data")


def test_a_file_is_no_model_folder(tmp_path, model):
    refused(train(tmp_path, model / "model.safetensors"), "model.safetensors: is a file")


# ---- files that are none, and files without end ----


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"]
)
@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_only_files_are_read_of_a_model_folder(tmp_path, model, name, kind):
    put_in_place(model / name, kind)
    result = train(tmp_path, model)
    assert result.code == 4 and result.megabytes < MOST_MEGABYTES
    assert "internal error" not in result.stderr


@pytest.mark.parametrize("name", ["hone.json", "config.json", "vocab.txt", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_only_files_are_read_of_a_finished_model(finished, name, kind):
    put_in_place(finished / name, kind)
    refused(predict(finished), name)


def put_in_place(path, kind):
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["tokenizer.json", "special_tokens_map.json", "added_tokens.json"])
def test_a_pipe_that_might_be_left_out_is_told(model, name):
    os.mkfifo(model / name)
    refused(run_measured([HONE, "tokenize", model], stdin=b"a\n"), f"{name}: cannot be read")


def test_a_json_file_without_end_is_not_read(tmp_path, model):
    sparse_file(model / "config.json", 1 << 34)
    result = train(tmp_path, model)
    assert result.code == 4 and result.megabytes < MOST_MEGABYTES


# ---- hone.json ----


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"/dev/zero": "0"}},
        {"files": {"../../../../../../../dev/zero": "0"}},
        {"files": {"pipe": "0"}},
        {"files": {"model.safetensors": ["0"]}},
        {"files": ["model.safetensors"]},
        {"files": 7},
        {"files": None},
        {"task": ["classify"]},
        {"task": "clasify"},
        {"format": "1"},
        {"format": 10**30},
        {"state": None},
        {"state": []},
        {"state": {}},
    ],
    ids=str,
)
def test_hone_json_of_the_wrong_kind_is_told(finished, change):
    os.mkfifo(finished / "pipe")
    edit_json(finished / "hone.json", **{"files": {}, **change})
    refused(predict(finished), "finished")


@pytest.mark.parametrize(
    "values",
    [[["a"], "b"], [{"a": 1}, "b"], [None, "b"], ["a"], [], "ab", None, 7, {"a": "b"}],
    ids=str,
)
def test_labels_of_the_wrong_kind_are_told(finished, values):
    state = json.loads((finished / "hone.json").read_text())["state"]
    state["labels"]["values"] = values
    edit_json(finished / "hone.json", files={}, state=state)
    refused(predict(finished), "finished")


@pytest.mark.parametrize("length", [-1, 1, 65, 10**12, 10**30, 2.5, "x", None], ids=str)
def test_saved_lengths_that_the_model_does_not_take_are_told(finished, length):
    state = json.loads((finished / "hone.json").read_text())["state"]
    state["options"]["max_seq_length"] = length
    edit_json(finished / "hone.json", files={}, state=state)
    refused(predict(finished), "hone.json: ", "state" if length in ("x", None) else "length")


# ---- small files that grow ----


def write_pickle(path, pickle):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/data/0", b"\0" * 4)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def test_a_pickle_that_names_one_long_text_again_and_again_stays_small(tmp_path, model):
    (model / "model.safetensors").unlink()
    key = text(b"k" * 500_000) + b"q\x01"
    storage = (
        b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + key + text(b"cpu") + b"K\x01tq\x02Q"
    )
    write_pickle(model / "pytorch_model.bin", b"\x80\x02" + storage + b"h\x02Q" * 170_000 + b".")
    refused(train(tmp_path, model), "a text has 500000 bytes")


@pytest.mark.parametrize(
    "opcodes",
    [
        b"]" * 1_000_000,
        b"]" + b"2" * 10,
        b"]q\x01" + b"h\x01" * 500_000,
        b"(" * 1_000_000,
        b"K\x01" * 500_000,
    ],
    ids=["lists", "twice", "recalled", "marks", "numbers"],
)
def test_a_pickle_of_a_megabyte_stays_small(tmp_path, model, opcodes):
    (model / "model.safetensors").unlink()
    write_pickle(model / "pytorch_model.bin", b"\x80\x02" + opcodes + b".")
    refused(train(tmp_path, model), "pickle, byte")


def write_tokenizer(model, normalizer=None, post_processor=None):
    ids = {word: i for i, word in enumerate((model / "vocab.txt").read_text().split())}
    content = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": post_processor,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }
    (model / "tokenizer.json").write_text(json.dumps(content))


def doubling(times):
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [step] * times}


@pytest.mark.parametrize(
    "normalizer",
    [
        doubling(30),
        {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "x" * 1000}] * 10_000},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "x" * 10_000_000},
    ],
    ids=["doubling", "prepending", "long"],
)
def test_replacements_that_grow_a_text_are_refused(model, normalizer):
    write_tokenizer(model, normalizer=normalizer)
    result = run_measured([HONE, "tokenize", model], stdin=b"a banana\n")
    refused(result, "the tokenizer's normalizer makes more than")


def test_a_template_that_repeats_its_tokens_is_refused(model):
    parts = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 3000
    template = {
        "type": "TemplateProcessing",
        "single": parts,
        "pair": parts,
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2] * 100_000, "tokens": []}},
    }
    write_tokenizer(model, post_processor=template)
    refused(run_measured([HONE, "tokenize", model], stdin=b"a\n"), "more special tokens than")


@pytest.mark.parametrize("piece", ["[],", '{"":0},'])
def test_json_of_many_small_values_stays_small(model, piece):
    content = '{"do_lower_case": true, "x": [' + piece * 4_100_000 + "0]}"
    (model / "tokenizer_config.json").write_text(content)
    refused(run_measured([HONE, "tokenize", model], stdin=b"a\n"), "no model has as many")


# ---- checksums that hone check keeps ----


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_a_flipped_bit_is_found_after_a_check(hone, tmp_path, model, name):
    config = write_run(tmp_path, model, num_train_epochs=1)
    assert 'until "hone check" has kept some' in hone("check", config).stderr
    assert "checksums" not in hone("train", config).stderr
    before = (model / name).stat()
    flip_a_bit(model / name)
    replaced = hone("train", config, "--overwrite").stderr
    assert f'{name}: is another file than "hone check" saw' in replaced
    os.utime(model / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    damaged = hone("train", config, "--overwrite", code=4).stderr
    assert f"{name}: is damaged" in damaged


def test_a_check_takes_a_replaced_file_as_it_is(hone, tmp_path, model):
    config = write_run(tmp_path, model, num_train_epochs=1)
    hone("check", config)
    flip_a_bit(model / "vocab.txt")
    assert "is another file" in hone("check", config).stderr
    assert "is another file" not in hone("check", config).stderr


def test_a_cache_that_cannot_be_written_or_read_ends_nothing(hone, tmp_path, model):
    config = write_run(tmp_path, model, num_train_epochs=1)
    (tmp_path / "file").write_text("")
    nowhere = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    assert "its checksums cannot be kept" in hone("check", config, env=nowhere).stderr
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    hone("check", config, env=cache)
    (kept,) = (tmp_path / "cache/hone/sums").iterdir()
    kept.write_text("{")
    assert "these checksums are not used" in hone("check", config, env=cache).stderr

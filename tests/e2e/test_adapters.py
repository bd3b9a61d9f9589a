"""Section `peft`: a run that trains adapters, the folder that it leaves, and what is refused in words."""

import json
import re
import shutil

import pytest
from conftest import write_run

LORA = "peft={peft_type: lora, r: 4, lora_alpha: 16, lora_dropout: 0.1}"


@pytest.fixture(scope="module")
def trained(hone, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("peft")
    shutil.copytree(tiny_model, folder / "base")
    config = write_run(folder, folder / "base", num_train_epochs=6)
    told = hone("train", config, LORA, "train.learning_rate=1e-2").stderr
    return folder, told


def test_a_run_tells_how_much_it_trains_and_leaves_pefts_folder(trained):
    folder, told = trained
    assert re.search(
        r"LORA on 13 layers; trained in full: classifier; \d+ of \d+ parameters", told
    ), told
    names = {path.name for path in (folder / "run/model").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "config.json", "hone.json"} <= names
    assert "model.safetensors" not in names
    config = json.loads((folder / "run/model/adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["task_type"] == "SEQ_CLS"
    assert config["base_model_name_or_path"] == str(folder / "base")
    assert config["modules_to_save"] == ["classifier"]
    last = folder / "run/checkpoints/last/model.safetensors"
    assert last.stat().st_size < (folder / "base/model.safetensors").stat().st_size / 2


def test_the_folder_answers_as_the_run_did(hone, trained, tmp_path):
    folder, _ = trained
    predictions = [
        json.loads(line) for line in (folder / "run/predictions.jsonl").read_text().splitlines()
    ]
    answers = hone("predict", folder / "run/model", folder / "test.jsonl").rows
    assert [answer["scores"] for answer in answers] == [row["scores"] for row in predictions]
    report = json.loads((folder / "run/report.json").read_text())
    again = json.loads(hone("eval", folder / "run/model", folder / "test.jsonl", "--json").stdout)
    assert again["metrics"] == report["metrics"]


def test_it_merges_into_a_plain_model(hone, trained, tmp_path):
    folder, _ = trained
    out = tmp_path / "merged"
    told = hone("merge", folder / "run/model", out).stdout
    assert re.match(r"largest difference of logits over 64 rows: \S+ \(they reach", told), told
    assert json.loads((out / "merge_proof.json").read_text())["of"] == "logits"
    before = hone("predict", folder / "run/model", folder / "test.jsonl").rows
    after = hone("predict", out, folder / "test.jsonl").rows
    for one, other in zip(before, after, strict=True):
        assert one["label"] == other["label"]
        for label, value in one["scores"].items():
            assert other["scores"][label] == pytest.approx(value, abs=1e-5)
    assert "is there already" in hone("merge", folder / "run/model", out, code=2).stderr
    assert "no adapter" in hone("merge", out, tmp_path / "again", code=4).stderr


def test_the_base_model_must_be_the_one_it_was_trained_on(hone, trained, tmp_path):
    folder, _ = trained
    copy = tmp_path / "copy"
    shutil.copytree(folder / "run/model", copy)
    weights = folder / "base/model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-4] + b"\0\0\0\x3f")
        message = hone("predict", copy, stdin=b"good film\n", code=4).stderr
        assert "another base model" in message
    finally:
        weights.write_bytes(kept)
    config = copy / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 16', '"lora_alpha": 32'))
    message = hone("predict", copy, stdin=b"good film\n", code=4).stderr
    assert "adapter_config.json" in message and "checksum" in message


def test_a_run_that_goes_on_keeps_its_adapters(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    hone("train", config, LORA, "train.learning_rate=null")
    assert "learning_rate: 0.0005" in (tmp_path / "run/resolved_config.yaml").read_text()
    message = hone("train", config, "--resume", "train.num_train_epochs=3", code=2).stderr
    assert "its section peft changed" in message
    hone("train", config, LORA, "--resume", "train.num_train_epochs=3", "train.learning_rate=null")


@pytest.mark.parametrize(
    "section, words",
    [
        ("{peft_type: lorra}", 'did you mean "lora"'),
        ("{r: 8}", '"peft_type" is missing'),
        ("{peft_type: lora, lora_alfa: 8}", 'did you mean "lora_alpha"'),
        ("{peft_type: lora, r: 0}", "a rank is 1 or more"),
        ("{peft_type: lora, r: 33}", "rank 33 of bert.encoder.layer.0"),
        ("{peft_type: lora, lora_alpha: 0}", "must be more than 0"),
        ("{peft_type: lora, init_lora_weights: pisa}", "true, gaussian and pissa"),
        ("{peft_type: lora, r: 20, init_lora_weights: pissa}", "PiSSA's is saved as twice"),
        ("{peft_type: adalora, target_r: 9, init_r: 4}", "ranks are taken away"),
        ("{peft_type: adalora, tinit: 500}", "the run longer"),
        ("{peft_type: seq_bn, non_linearity: tahn}", "non_linearity"),
        ("{peft_type: seq_bn, target_modules: [query]}", '"target_modules"'),
        ("{peft_type: seq_bn, leave_out: [0, 1]}", "no adapter is left"),
        ("{peft_type: top_layers, layers: 3}", "the model has 2 layers"),
        (
            "{peft_type: ln_tuning, target_modules: [query]}",
            "no weight of this kind by these target_modules",
        ),
        ("{peft_type: lora, target_modules: [q_proj]}", "attention.self.query"),
        ("{peft_type: lora, target_modules: [word_embeddings]}", "no linear layer"),
        ("{peft_type: lora, target_modules: '(a'}", "no pattern"),
        ("{peft_type: lora, modules_to_save: [nothing]}", "no module is called"),
    ],
)
def test_what_cannot_be_is_refused_before_training(hone, tiny_model, tmp_path, section, words):
    config = write_run(tmp_path, tiny_model)
    assert words in hone("train", config, f"peft={section}", code=2).stderr
    assert not (tmp_path / "run/checkpoints").exists()


def test_a_run_goes_on_with_an_adapter(hone, trained, tmp_path):
    folder, _ = trained
    config = write_run(tmp_path, folder / "run/model", num_train_epochs=1)
    told = hone("train", config, "train.learning_rate=1e-12").stderr
    assert "the adapter goes on, its head too" in told
    before = hone("predict", folder / "run/model", folder / "test.jsonl").rows
    after = hone("predict", tmp_path / "run/model", folder / "test.jsonl").rows
    for one, other in zip(before, after, strict=True):
        assert other["scores"] == pytest.approx(one["scores"], abs=1e-6)
    saved = json.loads((tmp_path / "run/model/adapter_config.json").read_text())
    assert saved["r"] == 4 and saved["base_model_name_or_path"] == str(folder / "base")
    told = hone("find-lr", config, "--steps", "20").stderr
    assert "the adapter goes on, its head too" in told
    message = hone("train", config, LORA, "--overwrite", code=2).stderr
    assert "model.path is an adapter" in message and "merge it first" in message


def test_adapters_that_do_not_belong_together_are_not_combined(hone, trained, tiny_model, tmp_path):
    folder, _ = trained
    one, out = folder / "run/model", tmp_path / "combined"
    assert "has no weight" in hone("merge", one, out, str(one), code=2).stderr
    assert "is no number" in hone("merge", one, out, f"{one}=many", code=2).stderr
    options = ("--combination", "ties", "--density", "1.5")
    assert "--density is 1.5" in hone("merge", one, out, f"{one}=1", *options, code=2).stderr
    assert "add up to 0" in hone("merge", one, out, f"{one}=-1", code=2).stderr
    shutil.copytree(tiny_model, tmp_path / "base")
    config = write_run(tmp_path, tmp_path / "base", num_train_epochs=1)
    hone("train", config, LORA, "task.labels=[negative, positive, other]")
    message = hone("merge", one, out, f"{tmp_path / 'run/model'}=1", code=2).stderr
    assert "one head cannot be both" in message
    assert not out.exists()
    hone("merge", one, out, f"{one}=1", "--combination", "dare_ties", "--density", "0.5")
    assert (out / "model.safetensors").exists() and hone("predict", out, folder / "test.jsonl").rows
    proof = json.loads((out / "merge_proof.json").read_text())
    assert proof["combination"] == "dare_ties"
    for part in proof["adapters"]:
        assert part["adapter"] == str(one) and part["weight"] == 1 and part["rows"] == 64
        assert part["largest_difference"] < 1e-4 * max(1, part["largest_value"])
    assert len(proof["adapters"]) == 2


def test_adalora_shows_where_ranks_are_left(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, num_train_epochs=6)
    form = "peft={peft_type: adalora, init_r: 4, target_r: 2, tfinal: 1}"
    last = "train.load_best_model_at_end=false"  # an earlier one may have more ranks
    hone("train", config, form, "train.learning_rate=2e-2", "train.logging_steps=1", last)
    report = json.loads((tmp_path / "run/report.json").read_text())
    ranks = report["ranks"]
    assert "attention.self.query" in ranks["rows"] and ranks["columns"][:2] == ["0", "1"]
    left = sum(count for row in ranks["counts"] for count in row if count is not None)
    assert left == 2 * 13
    assert "attention.self.query, 0: " in (tmp_path / "run/report.html").read_text()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    shown = [line["ranks"] for line in map(json.loads, lines) if "ranks" in line]
    assert shown[0] == 4 * 13 and shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("form", ["bitfit", "top_layers", "head"])
def test_weights_of_the_models_own_are_saved_as_a_whole_model(hone, tiny_model, tmp_path, form):
    config = write_run(tmp_path, tiny_model, num_train_epochs=2)
    told = hone("train", config, f"peft={{peft_type: {form}}}").stderr
    assert re.search(rf"{form}.*\d+ of \d+ parameters are trained", told), told
    names = {path.name for path in (tmp_path / "run/model").iterdir()}
    assert "model.safetensors" in names and "adapter_config.json" not in names
    predictions = (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    answers = hone("predict", tmp_path / "run/model", tmp_path / "test.jsonl").rows
    assert [row["scores"] for row in answers] == [json.loads(p)["scores"] for p in predictions]
    message = hone("merge", tmp_path / "run/model", tmp_path / "merged", code=4).stderr
    assert "no adapter" in message


def test_a_bottleneck_adapter_is_saved_as_the_adapters_library_does(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model, num_train_epochs=2)
    hone("train", config, "peft={peft_type: seq_bn, reduction_factor: 4}")
    folder = tmp_path / "run/model"
    saved = json.loads((folder / "adapter_config.json").read_text())
    assert saved["name"] == "seq_bn" and saved["config"]["original_ln_before"] is True
    assert saved["config"]["reduction_factor"] == 4.0 and saved["config"]["mh_adapter"] is False
    predictions = (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    answers = hone("predict", folder, tmp_path / "test.jsonl").rows
    assert [row["scores"] for row in answers] == [json.loads(p)["scores"] for p in predictions]
    message = hone("merge", folder, tmp_path / "merged", code=2).stderr
    assert "cannot be added into the weights" in message
    assert not (tmp_path / "merged").exists()
    saved["config"]["ln_after"] = True
    (folder / "adapter_config.json").write_text(json.dumps(saved))
    (folder / "hone.json").unlink()
    message = hone("merge", folder, tmp_path / "merged", code=4).stderr
    assert '"ln_after" is true' in message


def test_check_tells_what_an_adapter_costs(hone, tiny_model, tmp_path):
    config = write_run(tmp_path, tiny_model)
    whole = json.loads(hone("check", config, "--json").stdout)["estimate"]
    adapted = json.loads(hone("check", config, LORA, "--json").stdout)["estimate"]
    assert adapted["parameters"] < whole["parameters"] / 2
    assert adapted["disk_bytes"] < whole["disk_bytes"]


def test_a_rows_field_says_which_adapter_answers(hone, trained, tmp_path):
    folder, _ = trained
    first = folder / "run/model"
    config = write_run(tmp_path, folder / "base", num_train_epochs=2)
    other = "peft={peft_type: prompt_tuning, num_virtual_tokens: 3}"
    hone("train", config, other, "train.learning_rate=2e-2", "train.seed=5")
    second = tmp_path / "run/model"
    texts = ["good film", "bad film", "good", "bad bad"]
    names = [None, "soft", "soft", None]
    rows = [
        {"text": text} | ({"adapter": name} if name else {}) for text, name in zip(texts, names)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = hone("predict", first, tmp_path / "rows.jsonl", "--adapter", f"soft={second}").rows
    alone = {name: hone("predict", folder_, tmp_path / "rows.jsonl").rows for name, folder_ in ((None, first), ("soft", second))}  # fmt: skip
    for place, (answer, name) in enumerate(zip(answers, names, strict=True)):
        assert answer["scores"] == alone[name][place]["scores"]
        assert answer.get("adapter") == name
    gold = [row | {"label": "negative" if "bad" in row["text"] else "positive"} for row in rows]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    report = hone("eval", first, tmp_path / "gold.jsonl", "--adapter", f"soft={second}", "--json", "--report", tmp_path / "report")  # fmt: skip
    reports = json.loads(report.stdout)["adapters"]
    assert {name: one["n"] for name, one in reports.items()} == {"": 2, "soft": 2}
    assert (tmp_path / "report/adapters/soft/report.html").exists()
    lines = (tmp_path / "report/predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in lines] == [1, 4]
    rows[2]["adapter"] = "sfot"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = hone("predict", first, tmp_path / "rows.jsonl", "--adapter", f"soft={second}", code=3)
    assert re.search(r"rows\.jsonl:3: .*sfot.*soft", told.stderr), told.stderr
    assert "NAME=FOLDER" in hone("predict", first, "--adapter", "soft", stdin=b"good\n", code=2).stderr  # fmt: skip


@pytest.mark.parametrize("base", ["int8", "nf4"])
def test_an_adapter_beside_a_base_in_fewer_bits_is_merged_into_the_full_one(hone, tiny_model, tmp_path, base):  # fmt: skip
    shutil.copytree(tiny_model, tmp_path / "base")
    config = write_run(tmp_path, tmp_path / "base", num_train_epochs=3)
    form = f"peft={{peft_type: lora, r: 4, lora_alpha: 16, base: {base}}}"
    told = hone("train", config, form, "train.learning_rate=1e-2").stderr
    assert re.search(rf"are kept in {base}.*: [\d.]+ MB in place of", told), told
    model = tmp_path / "run/model"
    assert json.loads((model / "hone.json").read_text())["base_form"]["base"] == base
    report = json.loads((tmp_path / "run/report.json").read_text())
    again = json.loads(hone("eval", model, tmp_path / "test.jsonl", "--json").stdout)
    assert again["metrics"] == report["metrics"]
    hone("merge", model, tmp_path / "merged")
    proof = json.loads((tmp_path / "merged/merge_proof.json").read_text())
    assert proof["largest_difference"] < 1e-4 * max(1, proof["largest_value"])
    assert proof["from_training"] > proof["largest_difference"]

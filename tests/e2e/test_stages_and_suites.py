"""Further pre-training, stages, several test sets and lists of runs, as a user has them."""

import json
import re
import signal
import subprocess
import time

import pytest
import yaml
from conftest import ATTACK, HONE, ROOT, SHARED, sentiment, write_jsonl, write_run

LISTS = [
    path for path in sorted((ROOT / "examples/suites").glob("*.yaml")) if path.stem != "examples"
]


def texts(count):
    return [row["text"] for row in sentiment(count)]


def report(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.fixture
def plain_texts(tmp_path):
    """A text file: an empty line, one of a single token, one far longer than the model's positions."""
    lines = texts(60)
    lines[10:10] = ["", "good", " ".join(texts(40))]
    (tmp_path / "domain.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "held-out.txt").write_text("\n".join(texts(80)[60:]) + "\n")
    return tmp_path


def mlm_run(folder, model, **train):
    return write_run(
        folder,
        model,
        task="{name: mlm}",
        data=f"  train: {{path: {folder}/domain.txt}}\n  test: {{path: {folder}/held-out.txt}}",
        **train,
    )


def test_further_pre_training_lowers_perplexity(hone, tiny_model, plain_texts):
    short, long = {"num_train_epochs": 1, "learning_rate": "1e-6"}, {"num_train_epochs": 20}
    hone("train", mlm_run(plain_texts, tiny_model, output="short", **short))
    config = mlm_run(plain_texts, tiny_model, output="long", **long)
    result = hone("train", config)
    assert "perplexity" in result.stdout
    before, after = report(plain_texts / "short"), report(plain_texts / "long")
    assert after["score"] < 0.5 * before["score"]
    assert after["metrics"]["accuracy"] > before["metrics"]["accuracy"]
    assert after["baseline"]["metrics"]["perplexity"] > after["score"]
    assert after["data"]["train"]["dropped"] == 1  # the empty line, counted
    assert sum(after["data"]["train"]["lengths"]) > after["data"]["train"]["used"]  # windows
    assert after["data"]["train"]["truncated"] == 0

    answered = hone(
        "predict", plain_texts / "long/model", stdin=b"good [MASK] was the plot\ngood\n\n"
    )
    masked, scored, empty = answered.rows
    assert len(masked["masks"]) == 1 and len(masked["masks"][0]) == 5
    assert scored["tokens"] == 1 and scored["loss"] > 0
    assert empty["tokens"] == 0 and empty["loss"] is None
    again = hone("eval", plain_texts / "long/model", plain_texts / "held-out.txt", "--json")
    assert json.loads(again.stdout)["score"] == after["score"]


def test_a_saved_model_is_a_masked_language_model_elsewhere(hone, tiny_model, plain_texts):
    import transformers

    hone("train", mlm_run(plain_texts, tiny_model))
    _, info = transformers.AutoModelForMaskedLM.from_pretrained(
        plain_texts / "run/model", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]


def test_a_model_without_a_mask_is_told(hone, tiny_model, plain_texts, tmp_path):
    folder = tmp_path / "maskless"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    vocabulary = (folder / "vocab.txt").read_text().replace("[MASK]", "[NONE]")
    (folder / "vocab.txt").write_text(vocabulary)
    told = hone("train", mlm_run(plain_texts, folder), code=2)
    assert "has no mask token" in told.stderr


def test_stages_end_in_a_report_of_all(hone, tiny_model, plain_texts):
    config = write_run(plain_texts, tiny_model)
    with open(config, "a") as file:
        file.write(
            f"stages:\n  - name: domain\n    task: {{name: mlm}}\n"
            f"    data: {{train: {{path: {plain_texts}/domain.txt}}, test: {{path: {plain_texts}/held-out.txt}}}}\n"
        )
    checked = hone("check", config)
    assert "stage domain" in checked.stdout
    result = hone("train", config)
    assert re.search(r"domain +mlm +perplexity", result.stdout)
    stages = report(plain_texts / "run")["stages"]
    assert [stage["name"] for stage in stages] == ["domain", "(this run)"]
    assert stages[0]["score"] == report(plain_texts / "run/stages/domain")["score"]
    assert "nothing to resume" in hone("train", config, "--resume", code=2).stderr
    hone("train", config, "--overwrite")


@pytest.mark.parametrize("stage", ["stages/domain", "."])
def test_stages_go_on_after_a_kill(hone, tiny_model, plain_texts, stage):
    """The same weights, to the last bit, as without the kill; what had ended is not trained again."""
    for name in ("whole", "killed"):
        config = write_run(
            plain_texts, tiny_model, output=name, num_train_epochs=12, save_strategy="epoch"
        )
        text = config.read_text() + (
            f"stages: [{{name: domain, task: {{name: mlm}}, data: {{train: {{path: {plain_texts}/domain.txt}}}}}}]\n"
        )
        (plain_texts / f"{name}.yaml").write_text(text)
    hone("train", plain_texts / "whole.yaml")
    run = subprocess.Popen(
        [HONE, "train", plain_texts / "killed.yaml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    wanted = plain_texts / "killed" / stage / "checkpoints/last"
    while not wanted.exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    hone("train", plain_texts / "killed/resolved_config.yaml", "--resume")
    whole, killed = (
        (plain_texts / name / "model/model.safetensors").read_bytes()
        for name in ("whole", "killed")
    )
    assert whole == killed


def test_several_test_sets_stand_in_one_report(hone, tiny_model, tmp_path):
    write_jsonl(tmp_path / "turned.jsonl", [
        {"text": row["text"], "label": "negative" if row["label"] == "positive" else "positive"}
        for row in sentiment(40, 100)
    ])  # fmt: skip
    config = write_run(tmp_path, tiny_model, rows=(80, 10, 40), num_train_epochs=6)
    result = hone("train", config, f"data.tests={{turned: {{path: {tmp_path}/turned.jsonl}}}}")
    assert re.search(r"^turned +40 ", result.stdout, re.M)
    near, far = report(tmp_path / "run")["test_sets"]
    assert near["name"] == "test" and near["drop"] is None
    assert far["drop"] == pytest.approx(near["score"] - far["score"])
    assert far["drop_low"] <= far["drop"] <= far["drop_high"]
    assert report(tmp_path / "run/tests/turned")["score"] == far["score"]
    listed = hone("check", config, f"data.tests={{turned: {{path: {tmp_path}/turned.jsonl}}}}")
    assert "tests.turned: 40 rows" in listed.stdout


def write_list(folder, entries):
    write_run(folder, "unused")
    path = folder / "list.yaml"
    path.write_text(
        "defaults:\n  task: {name: classify}\n"
        "  data: {train: {path: $DATA/train.jsonl}, test: {path: $DATA/test.jsonl}}\n"
        "  train: {num_train_epochs: 1, precision: fp32, device: cpu}\n"
        f"entries:\n{entries}"
    )
    return path


def test_a_suite_ends_with_a_table_and_the_first_failure(hone, tiny_model, tmp_path):
    listed = write_list(
        tmp_path,
        "  - {name: broken, data: {train: {path: $DATA/gone.jsonl}}}\n  - {name: fine}\n",
    )
    call = ("suite", listed, "--model", tiny_model, "--data", tmp_path, "--out", tmp_path / "out")
    failed = hone(*call, code=3)
    assert re.search(r"broken +classify .*failed: .*gone.jsonl", failed.stdout)
    assert re.search(r"fine +classify +accuracy +\d\.\d{4}", failed.stdout)
    table = json.loads((tmp_path / "out/suite.json").read_text())
    assert table["entries"][0]["runs"][0]["exit_code"] == 3
    assert "| fine | classify | accuracy |" in (tmp_path / "out/suite.md").read_text()
    (tmp_path / "gone.jsonl").write_text((tmp_path / "train.jsonl").read_text())
    mended = hone(*call, "--json")
    assert [entry["score"] is not None for entry in json.loads(mended.stdout)["entries"]] == [
        True,
        True,
    ]
    assert "training on" in mended.stderr and mended.stderr.count("training on") == 1


def test_a_suite_goes_on_after_a_kill(hone, tiny_model, tmp_path):
    """What had ended is not run again, and the run in whose midst it ended gives the same weights."""
    listed = write_list(
        tmp_path,
        "  - {name: ended}\n  - {name: killed, train: {num_train_epochs: 12, save_strategy: epoch}}\n",
    )

    def call(out):
        return (
            "suite", listed, "--model", tiny_model, "--data", tmp_path, "--out", tmp_path / out,
        )  # fmt: skip

    hone(*call("whole"))
    run = subprocess.Popen(
        [HONE, *map(str, call("cut"))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    while not (tmp_path / "cut/killed/seed-42/checkpoints/last").exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    report_of_ended = tmp_path / "cut/ended/seed-42/report.json"
    written = report_of_ended.stat().st_mtime_ns
    hone(*call("cut"))
    assert report_of_ended.stat().st_mtime_ns == written
    tables = [json.loads((tmp_path / out / "suite.json").read_text()) for out in ("whole", "cut")]
    whole, cut = ([entry["score"] for entry in table["entries"]] for table in tables)
    assert whole == cut and None not in whole
    whole, cut = (
        (tmp_path / out / "killed/seed-42/model/model.safetensors").read_bytes()
        for out in ("whole", "cut")
    )
    assert whole == cut


def test_a_suite_refuses_two_entries_of_one_name(hone, tiny_model, tmp_path):
    listed = write_list(tmp_path, "  - {name: a}\n  - {name: a}\n")
    told = hone("suite", listed, "--model", tiny_model, "--data", tmp_path, code=2)
    assert 'two entries have the name "a"' in told.stderr and "list.yaml:7:" in told.stderr


def test_lists_that_come_with_hone_can_be_read(hone, tiny_model, tmp_path):
    """Their data are not here: each entry says so, and none is wrong."""
    for path in LISTS:
        done = hone(
            "suite", path, "--model", tiny_model, "--data", tmp_path, "--out", tmp_path / path.stem,
            "--json", "train.max_seq_length=48", code=3,
        )  # fmt: skip
        for entry in json.loads(done.stdout)["entries"]:
            assert str(tmp_path) in entry["error"], entry


needs_shared = pytest.mark.skipif(
    not SHARED.exists(), reason=f"no {SHARED}; HONE_SHARED names the folder"
)


@needs_shared
def test_lists_that_come_with_hone_name_files_that_are_there():
    for path in LISTS:
        keys = re.sub(r"^#.*$", "", path.read_text(), flags=re.M)
        named = re.findall(r"\$DATA/([^,}\s]+)", keys)
        assert named and [name for name in named if not (SHARED / "data" / name).exists()] == []


def entries_of_lists():
    """Two of the smallest; with HONE_ATTACK=1 each entry of the lists, which takes minutes."""
    entries = {
        f"{path.stem}-{entry['name']}": entry
        for path in LISTS
        for entry in yaml.safe_load(path.read_text())["entries"]
    }
    names = entries if ATTACK else ("all-mvsa_tweets", "all-fewclue_cluewsc")
    return [pytest.param(entries[name], id=name) for name in names]


@needs_shared
@pytest.mark.parametrize("entry", entries_of_lists())
def test_entries_of_lists_read_their_data(hone, tiny_model, tmp_path, entry):
    config = {
        "model": {"path": str(tiny_model)},
        "task": entry["task"],
        "data": entry["data"],
        "train": {"max_seq_length": 48, "precision": "fp32", "device": "cpu"},
        "output": {"dir": str(tmp_path / "run")},
    }
    text = json.dumps(config).replace("$DATA", str(SHARED / "data"))
    (tmp_path / "config.yaml").write_text(text)
    read = json.loads(hone("check", tmp_path / "config.yaml", "--json").stdout)["data"]
    parts = {"train", "test"} | (entry["data"].keys() & {"validation"})
    tests = {f"tests.{name}" for name in entry["data"].get("tests", {})}
    assert parts | tests <= read.keys()
    for split, audit in read.items():
        assert audit["used"] > 0.9 * audit["rows"] > 0 or entry["task"]["name"] == "mlm", split
        assert (
            len(audit["labels"]) > 1
            or entry["task"]["name"] != "classify"
            or "type" in entry["task"]
        )


def test_the_list_of_examples_has_them_all():
    listed = (ROOT / "examples/suites/examples.yaml").read_text()
    examples = {path.parent.name for path in (ROOT / "examples").glob("*/config.yaml")}
    assert set(re.findall(r"^  - name: (\w+)$", listed, re.M)) == examples

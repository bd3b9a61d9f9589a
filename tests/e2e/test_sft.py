"""Models that write: a small Llama is taught answers, and its folder goes to Transformers, hone eval and hone predict."""

import json
import math
import shutil

import pytest
from conftest import ROOT, SHARED

BABYLLAMA = SHARED / "weights/babyllama-tok105"
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}{{ eos_token }}"
    "{% endgeneration %}{% else %}{{ bos_token }}{{ m['content'] }}-{% endif %}{% endfor %}"
)
EXAMPLE = ROOT / "examples/causal_lm"


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """babyllama with its characters as a tokenizer, and a chat template."""
    if not BABYLLAMA.exists():
        pytest.skip(f"{BABYLLAMA} is not there")
    folder = tmp_path_factory.mktemp("babyllama")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(BABYLLAMA / name, folder / name)
    shutil.copy(BABYLLAMA / "tok105.model", folder / "tokenizer.model")
    options = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
               "model_max_length": 256, "add_bos_token": True, "legacy": False, "chat_template": TEMPLATE}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    return folder


def write_config(folder, model, task=None, **train):
    config = {
        "model": {"path": str(model)},
        "task": {"name": "causal_lm", "max_new_tokens": 48, **(task or {})},
        "data": {
            "train": {"path": str(EXAMPLE / "train.jsonl")},
            "validation": {"path": str(EXAMPLE / "dev.jsonl")},
            "test": {"path": str(EXAMPLE / "test.jsonl")},
        },
        "train": {
            "max_steps": 30,
            "per_device_train_batch_size": 16,
            "learning_rate": 2e-3,
            "precision": "fp32",
            "logging_steps": 1,
            "eval_strategy": "steps",
            "eval_steps": 15,
            **train,
        },
        "output": {"dir": str(folder / "run")},
    }
    (folder / "run.yaml").write_text(json.dumps(config))
    return folder / "run.yaml"


@pytest.fixture(scope="module")
def taught(hone, writer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    hone("train", write_config(folder, writer))
    return folder / "run"


def test_training_teaches_the_answers(taught):
    steps = [json.loads(line) for line in open(taught / "metrics.jsonl")]
    losses = [line["loss"] for line in steps if line["event"] == "step"]
    assert losses[-1] < 0.5 * losses[0]
    report = json.loads((taught / "report.json").read_text())
    metrics = report["metrics"]
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
    assert metrics["loss"] < losses[0]


def test_the_folder_loads_in_transformers_with_an_equal_loss(taught):
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(taught / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(taught / "model")
    assert tokenizer.chat_template == TEMPLATE
    total = tokens = 0
    for line in list(open(EXAMPLE / "test.jsonl"))[:20]:
        ids = tokenizer.apply_chat_template(json.loads(line)["messages"])["input_ids"]
        labels, is_answer = [], False
        for i in ids:  # an answer stands between "-" and "</s>"
            labels.append(i if is_answer else -100)
            is_answer = (is_answer or tokenizer.decode([i]) == "-") and i != tokenizer.eos_token_id
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1]
        wanted = torch.tensor(labels[1:])
        total += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
        tokens += (wanted >= 0).sum().item()
    rows = [json.loads(line) for line in open(taught / "predictions.jsonl")][:20]
    assert sum(row["tokens"] for row in rows) == tokens
    ours = sum(row["loss"] * row["tokens"] for row in rows)
    assert ours == pytest.approx(total, rel=1e-4)


def test_answers_do_not_need_gold_ones(hone, taught, tmp_path):
    rows = [json.loads(line) for line in open(EXAMPLE / "test.jsonl")][:8]
    asked = [{"id": i, "messages": row["messages"][:-1]} for i, row in enumerate(rows)]
    answers = []
    for name, some in (("gold", rows), ("asked", asked)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in some))
        answers.append(hone("predict", taught / "model", path, "--precision", "fp32").rows)
    gold, plain = answers
    for row, other in zip(gold, plain, strict=True):
        assert row["answer"] == other["answer"]
        assert row["finish_reason"] in ("end", "length") and row["answer_tokens"] <= 48
    assert plain[3]["id"] == 3


def test_eval_gives_the_numbers_of_the_run(hone, taught):
    known = json.loads((taught / "report.json").read_text())["metrics"]
    shown = hone("eval", taught / "model", EXAMPLE / "test.jsonl", "--json", "--precision", "fp32")
    again = json.loads(shown.stdout)["metrics"]
    for name in ("perplexity", "loss", "byte_perplexity"):
        assert again[name] == pytest.approx(known[name], rel=1e-5)


def test_another_chat_template_is_refused(hone, taught, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(taught / "model", model)
    assert len(json.loads((model / "hone.json").read_text())["state"]["chat_template"]) == 64
    (model / "chat_template.jinja").write_text(TEMPLATE + "!")
    told = hone("predict", model, EXAMPLE / "test.jsonl", code=4).stderr
    assert "chat_template.jinja" in told and "trained with" in told


def test_a_score_of_generated_answers_chooses_the_best_weights(hone, writer, tmp_path):
    config = write_config(
        tmp_path, writer, {"metrics": ["rouge"], "generate_rows": 6},
        metric_for_best_model="rougeL", early_stopping_patience=3, max_steps=10, eval_steps=5,
    )  # fmt: skip
    hone("train", config)
    lines = [json.loads(line) for line in open(tmp_path / "run/metrics.jsonl")]
    seen = [line["metrics"]["rougeL"] for line in lines if line["event"] == "evaluation"]
    assert len(seen) == 2 and all(0 <= score <= 1 for score in seen)
    rows = [json.loads(line) for line in open(tmp_path / "run/predictions.jsonl")]
    assert sum("answer" in row for row in rows) == 6
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["metric"] == "rougeL"


def test_lora_is_a_folder_of_peft(hone, writer, tmp_path):
    import peft
    import torch

    config = json.loads(write_config(tmp_path, writer, max_steps=3, eval_strategy="no").read_text())
    config["peft"] = {"peft_type": "lora", "r": 4, "target_modules": ["q_proj", "v_proj"]}
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    hone("train", tmp_path / "run.yaml")
    adapter = json.loads((tmp_path / "run/model/adapter_config.json").read_text())
    assert adapter["task_type"] == "CAUSAL_LM"
    model = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "run/model")
    assert any(
        weight.abs().max() > 0 for name, weight in model.named_parameters() if "lora_B" in name
    )
    assert torch.isfinite(model(torch.tensor([[1, 20, 21]])).logits).all()


def test_rows_without_an_answer_are_named(hone, writer, tmp_path):
    rows = [json.loads(line) for line in open(EXAMPLE / "train.jsonl")][:24]
    rows[4]["messages"][1]["content"] = ""
    rows[7]["messages"] = rows[7]["messages"][:1]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = json.loads(write_config(tmp_path, writer, max_steps=2, eval_strategy="no").read_text())
    config["data"] = {"train": {"path": str(path)}}
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    told = hone("train", tmp_path / "run.yaml", code=3).stderr
    assert "rows.jsonl:5" in told and "empty turn of the assistant" in told
    config["data"]["train"]["on_bad_row"] = "skip"
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    told = hone("train", tmp_path / "run.yaml", "--overwrite").stderr
    assert "2 of 24 rows are left out" in told


def test_texts_go_on_with_pre_training(hone, writer, tmp_path):
    path = tmp_path / "texts.txt"
    lines = [json.loads(line)["messages"][1]["content"] for line in open(EXAMPLE / "train.jsonl")]
    path.write_text("\n".join(" ".join(lines[i : i + 12]) for i in range(0, 96, 12)) + "\n")
    config = json.loads(
        write_config(
            tmp_path, writer, {"form": "text"}, max_steps=6, eval_strategy="no"
        ).read_text()
    )
    config["data"] = {"train": {"path": str(path)}, "test": {"path": str(path)}}
    config["train"]["max_seq_length"] = 64
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    hone("train", tmp_path / "run.yaml")
    row = json.loads(open(tmp_path / "run/predictions.jsonl").readline())
    assert row["bytes"] == len(lines[0].encode()) + sum(len(f" {line}") for line in lines[1:12])
    goes_on = hone("predict", tmp_path / "run/model", path).rows[0]
    assert goes_on["answer"] and goes_on["answer_tokens"] <= 48

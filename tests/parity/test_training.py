"""Training beside Transformers and PyTorch: ten AdamW steps from the same weights and batches, schedules, TensorBoard files.

The probe is looked for in HONE_BUILD, else in build/release.
"""

import json
import os
import pathlib
import random
import subprocess

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HONE_BUILD", ROOT / "build/release"))
PROBE = BUILD / "train_probe"
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
MINILM = ROOT / "models/all-MiniLM-L6-v2"

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")


def probe(*arguments):
    done = subprocess.run([str(PROBE), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- schedules


def own_arguments(kind, warmup, total, end, power):
    if kind == "polynomial":
        return {"lr_end": end, "power": power}
    if kind == "warmup_stable_decay":  # Transformers decays along a cosine unless told otherwise
        steps = min(round(0.1 * total), total - warmup)
        return {"num_decay_steps": steps, "decay_type": "linear"}
    return {}


@pytest.mark.parametrize(
    "kind",
    [
        "linear",
        "cosine",
        "cosine_with_restarts",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
        "polynomial",
        "warmup_stable_decay",
    ],
)
@pytest.mark.parametrize("warmup,total", [(0, 1), (0, 50), (7, 50), (50, 51), (10, 10)])
def test_schedule_equals_get_scheduler(kind, warmup, total):
    if kind == "polynomial" and warmup == total:
        pytest.skip("Transformers divides by zero there")
    rate, end, power = 1e-3, 1e-7, 2.0
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule = transformers.get_scheduler(
        kind,
        optimizer,
        num_warmup_steps=warmup,
        num_training_steps=total,
        scheduler_specific_kwargs=own_arguments(kind, warmup, total, end, power),
    )
    ours = [
        float(line) for line in probe("schedule", kind, warmup, total, power, end / rate).split()
    ]
    assert len(ours) == total + 1
    for step, factor in enumerate(ours):
        assert rate * factor == pytest.approx(schedule.get_last_lr()[0], rel=1e-12, abs=1e-18), step
        optimizer.step()
        schedule.step()


# ---- ten steps


TINY = {
    "bert": (transformers.BertConfig, transformers.BertModel),
    "bert-pads-with-cls": (transformers.BertConfig, transformers.BertModel),
    "albert": (transformers.AlbertConfig, transformers.AlbertModel),
    "deberta": (transformers.DebertaConfig, transformers.DebertaModel),
    "deberta-v3": (transformers.DebertaV2Config, transformers.DebertaV2Model),
    "modernbert": (transformers.ModernBertConfig, transformers.ModernBertModel),
}
BERT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
NO_DROPOUT = {
    "bert": BERT_DROPOUT,
    "bert-pads-with-cls": BERT_DROPOUT | {"pad_token_id": 2},  # as multilingual-e5-small
    "albert": BERT_DROPOUT | {"classifier_dropout_prob": 0.0, "embedding_size": 16},
    "deberta": BERT_DROPOUT | {"relative_attention": True, "pos_att_type": "c2p|p2c"},
    "deberta-v3": BERT_DROPOUT
    | {
        "relative_attention": True,
        "pos_att_type": "p2c|c2p",
        "position_buckets": 16,
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "conv_kernel_size": 3,
    },
    "modernbert": {"local_attention": 8, "pad_token_id": 0},
}


def write_tiny_model(folder, kind="bert"):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"word{i}" for i in range(60)]
    torch.manual_seed(3)
    config, model = TINY[kind]
    model(config(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
        initializer_range=0.1, **NO_DROPOUT[kind],
    )).save_pretrained(folder)  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
        )
    )


def copy_without_dropout(source, folder):
    for path in source.iterdir():
        if path.is_file() and path.name != "config.json":
            (folder / path.name).symlink_to(path)
    config = json.loads((source / "config.json").read_text())
    config["hidden_dropout_prob"] = config["attention_probs_dropout_prob"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))


def write_rows(path, task, rows, seed=0):
    choose = random.Random(seed)
    with path.open("w") as file:
        for _ in range(rows):
            words = [f"word{choose.randrange(60)}" for _ in range(choose.randrange(2, 25))]
            if task == "classify":
                row = {"text": " ".join(words), "label": "abc"[int(words[0][4:]) % 3]}
            elif task == "seq2seq":
                row = {"source": " ".join(words), "target": " ".join(words[:4])}
            else:
                row = {
                    "tokens": words,
                    "tags": [
                        "B-PER" if int(w[4:]) < 10 else "B-LOC" if int(w[4:]) < 20 else "O"
                        for w in words
                    ],
                }
            file.write(json.dumps(row) + "\n")


def run_probe(folder, model, task, train, task_options=None, **sections):
    write_rows(folder / "rows.jsonl", task, 60)
    options = {
        "precision": "fp32",
        "threads": 1,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
        "max_steps": 10,
        **train,
    }
    config = {
        "model": str(model),
        "name": task,
        "task": task_options or {},
        "train": options,
        "data": str(folder / "rows.jsonl"),
        **sections,
    }
    (folder / "run.yaml").write_text(json.dumps(config))  # JSON is YAML
    probe("run", folder / "run.yaml", folder)
    return json.loads((folder / "run.json").read_text())


def padded(samples):
    longest = max(len(s["ids"]) for s in samples)

    def pad(values, filler):
        return torch.tensor([v + [filler] * (longest - len(v)) for v in values])

    batch = {
        "input_ids": pad([s["ids"] for s in samples], 0),
        "token_type_ids": pad([s["segments"] for s in samples], 0),
        "attention_mask": pad([[1] * len(s["ids"]) for s in samples], 0),
    }
    name = next(iter(samples[0]["targets"]))
    values = [[int(v) for v in s["targets"][name]] for s in samples]
    per_token = any(len(v) > 1 for v in values)
    return batch, pad(values, -100) if per_token else torch.tensor([v[0] for v in values])


def decay_groups(model, decay):
    names = transformers.Trainer.get_decay_parameter_names(None, model)
    return [
        {"params": [p for n, p in model.named_parameters() if n in names], "weight_decay": decay},
        {"params": [p for n, p in model.named_parameters() if n not in names], "weight_decay": 0.0},
    ]


def optimizer_and_schedule(model, steps, o):
    """AdamW and the linear schedule, as the options of a run ask for them."""
    optimizer = torch.optim.AdamW(
        decay_groups(model, o["weight_decay"]), lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8
    )
    schedule = transformers.get_scheduler(
        "linear",
        optimizer,
        num_warmup_steps=o["warmup_steps"],
        num_training_steps=steps,
    )
    return optimizer, schedule


def train_with_torch(folder, task, story, o):
    """The same steps: mean loss over all targets of a step, clipping, AdamW, schedule; padded batches, dropout 0."""
    kind = {
        "classify": transformers.AutoModelForSequenceClassification,
        "ner": transformers.AutoModelForTokenClassification,
    }[task]
    model = kind.from_pretrained(folder / "initial").float().train()
    optimizer, schedule = optimizer_and_schedule(model, len(story["steps"]), o)
    events = []
    for step in story["steps"]:
        samples = [story["samples"][i] for micro in step for i in micro]
        batch, targets = padded(samples)
        logits = model(**batch).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), o["max_grad_norm"])
        events.append(
            {
                "loss": loss.item(),
                "gradient_norm": norm.item(),
                "learning_rate": schedule.get_last_lr()[0],
            }
        )
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model, events


def cases():
    yield from TINY
    if MINILM.exists():
        yield "minilm"


@pytest.mark.parametrize("task", ["classify", "ner"])
@pytest.mark.parametrize("model", list(cases()))
@pytest.mark.parametrize("batch,accumulation", [(8, 1), (2, 4)])
def test_ten_steps_equal_torch(tmp_path, task, model, batch, accumulation):
    source = tmp_path / "model"
    source.mkdir()
    if model in TINY:
        write_tiny_model(source, model)
    else:
        copy_without_dropout(MINILM, source)
    o = {"learning_rate": 1e-3 if model in TINY else 5e-5, "weight_decay": 0.1, "max_grad_norm": 0.5, "warmup_steps": 3,
         "per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}  # fmt: skip
    story = run_probe(tmp_path, source, task, o)
    assert len(story["steps"]) == 10
    theirs, events = train_with_torch(tmp_path, task, story, o)

    for step, (ours, expected) in enumerate(zip(story["events"], events)):
        for name in ("loss", "gradient_norm", "learning_rate"):
            assert ours[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-12), (step, name)

    from safetensors.torch import load_file

    initial, final = (
        load_file(tmp_path / "initial/model.safetensors"),
        load_file(tmp_path / "final/model.safetensors"),
    )
    worst = worst_move = 0.0
    compared = 0
    for name, expected in theirs.named_parameters():
        if name.endswith("key.bias"):
            continue  # softmax does not see it: its gradient is rounding noise, which Adam divides by its own size
        compared += 1
        difference = (final[name] - expected.detach()).norm().item()
        worst = max(worst, difference / max(expected.detach().norm().item(), 1e-12))
        worst_move = max(
            worst_move, difference / max((expected.detach() - initial[name]).norm().item(), 1e-12)
        )
    print(
        f"{task} {model} {batch}x{accumulation}: {compared} weights, worst relative difference {worst:.2e}, of the movement {worst_move:.2e}"
    )
    assert compared > 20
    assert worst < 1e-4
    assert worst_move < 1e-3


# Long enough for what ten steps cannot show: rows of the embedding that wait for dozens of steps, the end of the schedule, several epochs.
@pytest.mark.parametrize("task", ["classify", "ner"])
def test_a_whole_training_equals_torch(tmp_path, task):
    source = tmp_path / "model"
    source.mkdir()
    write_tiny_model(source)
    o = {
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
        "warmup_steps": 15,
        "per_device_train_batch_size": 3,
        "max_steps": 150,
    }
    story = run_probe(tmp_path, source, task, o)
    assert len(story["steps"]) == 150
    _, events = train_with_torch(tmp_path, task, story, o)
    means = [sum(event["loss"] for event in part) for part in (events[:20], events[-20:])]
    assert means[1] < 0.95 * means[0], "nothing was learnt, so nothing is compared"
    for step, (ours, expected) in enumerate(zip(story["events"], events, strict=True)):
        assert ours["learning_rate"] == pytest.approx(
            expected["learning_rate"], rel=1e-9, abs=1e-18
        ), step
        assert ours["loss"] == pytest.approx(expected["loss"], rel=1e-3, abs=1e-5), step


# ---- TensorBoard


def test_tensorboard_reads_the_event_files(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    source = tmp_path / "model"
    source.mkdir()
    write_tiny_model(source)
    run_probe(
        tmp_path,
        source,
        "classify",
        {
            "eval_strategy": "steps",
            "eval_steps": 5,
            "per_device_train_batch_size": 4,
            "logging_steps": 2,
        },
    )
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    evaluations = [line for line in lines if line["event"] == "evaluation"]
    assert [line["step"] for line in steps] == [2, 4, 6, 8, 10]
    assert [line["step"] for line in evaluations] == [5, 10]

    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = lambda tag: [(e.step, e.value) for e in events.Scalars(tag)]  # noqa: E731
    for tag, key, source_lines in [("train/loss", "loss", steps), ("train/learning_rate", "learning_rate", steps),
                                   ("train/gradient_norm", "gradient_norm", steps), ("eval/loss", "loss", evaluations)]:  # fmt: skip
        assert scalars(tag) == [
            (line["step"], pytest.approx(line[key], rel=1e-6)) for line in source_lines
        ], tag
    for name in evaluations[0]["metrics"]:
        assert scalars(f"eval/{name}") == [
            (line["step"], pytest.approx(line["metrics"][name], rel=1e-6)) for line in evaluations
        ], name

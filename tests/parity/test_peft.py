"""Adapters beside Hugging Face PEFT: ten steps from the same weights, folders in both directions.

The probe is looked for in HONE_BUILD, else in build/release.
"""

import json
import os
import subprocess

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402
from test_training import (  # noqa: E402
    BUILD,
    PROBE,
    decay_groups,
    padded,
    run_probe,
    write_tiny_model,
)

HONE = BUILD / "hone"
KINDS = {
    "classify": transformers.AutoModelForSequenceClassification,
    "ner": transformers.AutoModelForTokenClassification,
}

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")


def loaded_by_peft(folder, task, base, trainable=False):
    config = transformers.AutoConfig.from_pretrained(folder)
    model = KINDS[task].from_pretrained(base, config=config).float()
    return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)


def train_with_peft(folder, task, base, story, o):
    """The same steps with PEFT's own layers, from the folder that hone saved before training."""
    model = loaded_by_peft(folder / "initial", task, base, trainable=True).train()
    optimizer = torch.optim.AdamW(
        decay_groups(model, o["weight_decay"]), lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8
    )
    schedule = transformers.get_scheduler(
        "linear",
        optimizer,
        num_warmup_steps=o["warmup_steps"],
        num_training_steps=len(story["steps"]),
    )
    events = []
    trained = [p for p in model.parameters() if p.requires_grad]
    for step in story["steps"]:
        batch, targets = padded([story["samples"][i] for micro in step for i in micro])
        logits = model(**batch).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, o["max_grad_norm"])
        events.append({"loss": loss.item(), "gradient_norm": norm.item()})
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model, events


FORMS = {
    "query and value": {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["query", "value"],
    },
    "all": {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "use_rslora": True},
    "dora": {"peft_type": "LORA", "r": 4, "use_dora": True, "target_modules": ["query", "dense"]},
    "ia3": {
        "peft_type": "IA3",
        "target_modules": ["key", "value", "output.dense"],
        "feedforward_modules": ["output.dense"],
    },
    "patterns": {
        "peft_type": "LORA",
        "r": 4,
        "target_modules": r".*layer\.[01]\..*(?:query|key|dense)",
        "rank_pattern": {r"layer\.0.*query": 2},
        "alpha_pattern": {"key": 16},
        "modules_to_save": ["LayerNorm"],
    },
}


@pytest.mark.parametrize(
    "task, form",
    [*(("classify", form) for form in FORMS), ("ner", "query and value"), ("ner", "patterns")],
)
def test_ten_steps_equal_peft(tmp_path, task, form):
    base = tmp_path / "model"
    base.mkdir()
    write_tiny_model(base)
    o = {
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
        "warmup_steps": 3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
    }
    story = run_probe(tmp_path, base, task, o, peft=FORMS[form])
    assert len(story["steps"]) == 10
    theirs, events = train_with_peft(tmp_path, task, base, story, o)
    for step, (ours, expected) in enumerate(zip(story["events"], events, strict=True)):
        for name in ("loss", "gradient_norm"):
            assert ours[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-12), (step, name)
    initial, final = (
        load_file(tmp_path / part / "adapter_model.safetensors") for part in ("initial", "final")
    )
    expected = peft.get_peft_model_state_dict(theirs)
    assert set(final) == set(expected)
    moved = 0
    for name, value in expected.items():
        difference = (final[name] - value).norm()
        assert difference <= 1e-4 * value.norm(), name
        assert difference <= 2e-3 * (value - initial[name]).norm() + 1e-9, name
        moved += bool((value - initial[name]).norm() > 0)
    assert moved > 10
    total = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert sum(value.numel() for value in final.values()) == total


def test_hones_folder_gives_equal_logits_in_peft(tmp_path):
    base = tmp_path / "model"
    base.mkdir()
    write_tiny_model(base)
    story = run_probe(
        tmp_path, base, "classify", {"learning_rate": 1e-2}, peft={"peft_type": "LORA", "r": 4}
    )
    model = loaded_by_peft(tmp_path / "final", "classify", base).eval()
    batch, _ = padded(story["samples"])
    with torch.no_grad():
        probabilities = model(**batch).logits.softmax(-1)
    rows = (tmp_path / "rows.jsonl").read_text()
    done = subprocess.run(
        [str(HONE), "predict", str(tmp_path / "final"), "--precision", "fp32", "--quiet"],
        input=rows,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(probabilities)
    for answer, expected in zip(answers, probabilities):
        for label, value in answer["scores"].items():
            place = model.config.label2id[label]
            assert value == pytest.approx(expected[place].item(), abs=2e-6)


def random_adapter(base, folder, kind=peft.LoraConfig, **options):
    """A folder that PEFT saved, with weights that are not those of the beginning."""
    torch.manual_seed(5)
    model = KINDS["classify"].from_pretrained(base, num_labels=3)
    model = peft.get_peft_model(model, kind(task_type="SEQ_CLS", **options))
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.add_(0.2 * torch.randn_like(value))
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize(
    "options",
    [
        {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]},
        {"r": 4, "target_modules": "all-linear", "lora_dropout": 0.1},
        {"r": 4, "target_modules": ["dense"], "layers_to_transform": [1], "use_rslora": True},
        {"r": 4, "target_modules": ["query", "q_proj"], "exclude_modules": r".*\.0\..*"},
        {"r": 4, "target_modules": ["query", "dense"], "use_dora": True},
        {
            "kind": peft.IA3Config,
            "target_modules": ["key", "output.dense"],
            "feedforward_modules": ["output.dense"],
        },
    ],
)
def test_pefts_folder_merges_into_a_model_of_equal_logits(tmp_path, options):
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    base.mkdir()
    write_tiny_model(base)
    model = random_adapter(base, adapter, **options)
    done = subprocess.run(
        [str(HONE), "merge", str(adapter), str(merged), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    proof = json.loads(done.stdout)
    assert proof == json.loads((merged / "merge_proof.json").read_text())
    assert proof["rows"] == 64
    assert 0 < proof["largest_difference"] < 1e-4 * proof["largest_value"]
    plain = KINDS["classify"].from_pretrained(merged).eval()
    ids = torch.randint(0, 60, (5, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = plain(ids).logits, model(ids).logits
    assert torch.allclose(ours, theirs, atol=2e-5), (ours - theirs).abs().max()
    # the logits depend on the adapter
    bare = KINDS["classify"].from_pretrained(base, num_labels=3).eval()
    bare.classifier.load_state_dict(plain.classifier.state_dict())
    with torch.no_grad():
        assert (bare(ids).logits - theirs).abs().max() > 1e-3


def test_a_pickled_adapter_is_read_without_running_it(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    random_adapter(base, adapter, r=4, target_modules=["query"])
    weights = load_file(adapter / "adapter_model.safetensors")
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(weights, adapter / "adapter_model.bin")
    merge = [str(HONE), "merge", str(adapter), str(tmp_path / "merged")]
    assert subprocess.run(merge, capture_output=True).returncode == 0

    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path}/ran",))

    torch.save({"base_model.model.classifier.bias": Hostile()}, adapter / "adapter_model.bin")
    merge[-1] += "2"
    done = subprocess.run(merge, capture_output=True, text=True)
    assert done.returncode == 4 and "adapter_model.bin" in done.stderr
    assert not (tmp_path / "ran").exists() and not (tmp_path / "merged2").exists()


def test_an_adapter_that_diverged_is_not_merged(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    random_adapter(base, adapter, r=4, target_modules=["query"])
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in weights if "lora_A" in name)
    weights[name][0, 0] = float("inf")
    save_file(weights, adapter / "adapter_model.safetensors")
    merge = [str(HONE), "merge", str(adapter), str(tmp_path / "merged")]
    done = subprocess.run(merge, capture_output=True, text=True)
    assert done.returncode == 4 and name in done.stderr
    assert not (tmp_path / "merged").exists()

"""Adapters beside Hugging Face PEFT: ten steps from the same weights, folders in both directions.

The probe is looked for in HONE_BUILD, else in build/release.
"""

import itertools
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
    ROOT,
    decay_groups,
    padded,
    run_probe,
    write_rows,
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


SOFT = {"PREFIX_TUNING": peft.PrefixTuningConfig, "PROMPT_TUNING": peft.PromptTuningConfig}


def begun_as_ours(folder, base, form):
    """PEFT trains no soft prompt that it loaded: a fresh one with the weights of a folder."""
    config = transformers.AutoConfig.from_pretrained(folder)
    model = KINDS["classify"].from_pretrained(base, config=config).float()
    options = {key: value for key, value in form.items() if key != "peft_type"}
    model = peft.get_peft_model(
        model, SOFT[form["peft_type"]](task_type=peft.TaskType.SEQ_CLS, **options)
    )
    weights = load_file(folder / "adapter_model.safetensors")
    with torch.no_grad():
        model.prompt_encoder["default"].embedding.weight.copy_(weights["prompt_embeddings"])
        head = model.base_model.classifier.modules_to_save["default"]
        for part in ("weight", "bias"):
            getattr(head, part).copy_(weights[f"base_model.classifier.{part}"])
    return model


def groups_by_rate(model, o, factor):
    """Decay groups whose B matrices are trained at `factor` times the rate (LoRA+)."""
    names = {id(value): name for name, value in model.named_parameters()}
    groups = []
    for group in decay_groups(model, o["weight_decay"]):
        for of_b in (False, True):
            chosen = [p for p in group["params"] if ("lora_B" in names[id(p)]) == of_b]
            rate = o["learning_rate"] * (factor if of_b else 1)
            groups.append({**group, "params": chosen, "lr": rate})
    return groups


def train_with_peft(model, story, o, factor=1):
    """The same steps with PEFT's own layers."""
    model.train()
    optimizer = torch.optim.AdamW(
        groups_by_rate(model, o, factor), lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8
    )
    schedule = transformers.get_scheduler(
        "linear",
        optimizer,
        num_warmup_steps=o["warmup_steps"],
        num_training_steps=len(story["steps"]),
    )
    events = []
    trained = [p for p in model.parameters() if p.requires_grad]
    has_budget = isinstance(model.base_model, peft.AdaLoraModel)
    for number, step in enumerate(story["steps"], 1):
        batch, targets = padded([story["samples"][i] for micro in step for i in micro])
        if has_budget:  # PEFT adds its term where the model computes the loss
            loss = model(**batch, labels=targets.flatten()).loss
        else:
            logits = model(**batch).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, o["max_grad_norm"])
        events.append({"loss": loss.item(), "gradient_norm": norm.item()})
        optimizer.step()
        schedule.step()
        if has_budget:
            model.base_model.update_and_allocate(number)
            pattern = model.peft_config["default"].rank_pattern or {}
            events[-1]["ranks"] = sum(map(sum, pattern.values())) if pattern else None
        optimizer.zero_grad()
    return events


STEPS = {
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "max_grad_norm": 0.5,
    "warmup_steps": 3,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
}


def assert_same_steps(ours, theirs):
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for name in ("loss", "gradient_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-12), (step, name)


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
    "loraplus": {
        "peft_type": "LORA",
        "r": 4,
        "loraplus_lr_ratio": 4,
        "target_modules": ["query", "value"],
    },
    "norms": {"peft_type": "LN_TUNING"},
    "prefix": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3},
    "prompt": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3},
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
    story = run_probe(tmp_path, base, task, STEPS, peft=FORMS[form])
    assert len(story["steps"]) == 10
    theirs = (
        begun_as_ours(tmp_path / "initial", base, FORMS[form])
        if form in ("prefix", "prompt")
        else loaded_by_peft(tmp_path / "initial", task, base, trainable=True)
    )
    events = train_with_peft(theirs, story, STEPS, FORMS[form].get("loraplus_lr_ratio", 1))
    assert_same_steps(story["events"], events)
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
    assert moved > 0.8 * len(expected)
    total = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert sum(value.numel() for value in final.values()) == total


SCHEDULES = {
    "each step": {"tinit": 0, "tfinal": 0, "deltaT": 1},
    "a few times": {"tinit": 2, "tfinal": 3, "deltaT": 2},
    "warm-up and rest": {"tinit": 5, "tfinal": 4, "deltaT": 3},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_adaloras_ranks_are_pefts_at_each_step(tmp_path, schedule):
    base = tmp_path / "model"
    base.mkdir()
    write_tiny_model(base)
    form = {
        "peft_type": "ADALORA",
        "target_r": 2,
        "init_r": 5,
        "lora_alpha": 8,
        "orth_reg_weight": 0.1,
        "total_step": 14,
        "target_modules": ["query", "value", "dense"],
        **SCHEDULES[schedule],
    }
    o = {**STEPS, "max_steps": 14, "learning_rate": 3e-2}
    story = run_probe(tmp_path, base, "classify", o, peft=form)
    assert len(story["steps"]) == 14
    theirs = loaded_by_peft(tmp_path / "initial", "classify", base, trainable=True)
    events = train_with_peft(theirs, story, o)
    assert_same_steps(story["events"], events)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    before = [line["ranks"] for line in lines if "ranks" in line]  # of the step itself
    all_ranks = 5 * (2 * 3 + 3 * 3 + 1)
    assert before[0] == all_ranks
    assert before[1:] == [event["ranks"] or all_ranks for event in events[:-1]]
    pattern = json.loads((tmp_path / "final/adapter_config.json").read_text())["rank_pattern"]
    theirs.save_pretrained(tmp_path / "theirs")
    expected = json.loads((tmp_path / "theirs/adapter_config.json").read_text())["rank_pattern"]
    assert pattern == expected
    assert len({sum(ranks) for ranks in pattern.values()}) > 1  # some matrices keep more
    assert sum(map(sum, pattern.values())) == 2 * (2 * 3 + 3 * 3 + 1)
    ours, expected = (
        load_file(tmp_path / part / "adapter_model.safetensors") for part in ("final", "theirs")
    )
    assert set(ours) == set(expected)
    for name, value in expected.items():
        assert torch.allclose(ours[name], value, rtol=1e-3, atol=1e-5), name
    reloaded = loaded_by_peft(tmp_path / "final", "classify", base).eval()
    batch, _ = padded(story["samples"])
    with torch.no_grad():
        logits = reloaded(**batch).logits, theirs.eval()(**batch).logits
    assert torch.allclose(*logits, atol=1e-4)


def test_pissa_begins_and_trains_as_pefts_and_is_saved_for_the_whole_base_model(tmp_path):
    base = tmp_path / "model"
    base.mkdir()
    write_tiny_model(base)
    form = {"r": 4, "lora_alpha": 6, "init_lora_weights": "pissa", "target_modules": ["query"]}
    story = run_probe(tmp_path, base, "classify", STEPS, peft={"peft_type": "LORA", **form})
    config = transformers.AutoConfig.from_pretrained(tmp_path / "initial")
    model = KINDS["classify"].from_pretrained(base, config=config).float()
    head = load_file(tmp_path / "initial/adapter_model.safetensors")
    model.classifier.load_state_dict(
        {part: head[f"base_model.model.classifier.{part}"] for part in ("weight", "bias")}
    )
    theirs = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", **form))
    assert_same_steps(story["events"], train_with_peft(theirs, story, STEPS))
    saved = json.loads((tmp_path / "final/adapter_config.json").read_text())
    assert (saved["r"], saved["lora_alpha"], saved["init_lora_weights"]) == (8, 12, True)
    reloaded = loaded_by_peft(tmp_path / "final", "classify", base).eval()
    batch, _ = padded(story["samples"])
    with torch.no_grad():
        logits = reloaded(**batch).logits, theirs.eval()(**batch).logits
    assert torch.allclose(*logits, atol=1e-4)


@pytest.mark.parametrize(
    "form",
    [
        {"peft_type": "LORA", "r": 4},
        {"peft_type": "LORA", "r": 2, "use_rslora": True, "use_dora": True},
        {"peft_type": "IA3", "target_modules": ["key", "dense"], "feedforward_modules": ["dense"]},
        {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3},
        {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3, "prefix_projection": True},
        {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3},
        {"peft_type": "LN_TUNING"},
    ],
)
def test_hones_folder_gives_equal_logits_in_peft(tmp_path, form):
    base = tmp_path / "model"
    base.mkdir()
    write_tiny_model(base)
    story = run_probe(tmp_path, base, "classify", {"learning_rate": 1e-2}, peft=form)
    model = loaded_by_peft(tmp_path / "final", "classify", base).eval()
    batch, _ = padded(story["samples"])
    with torch.no_grad():
        check_scores(tmp_path, model, model(**batch).logits.softmax(-1))


def check_scores(tmp_path, model, probabilities, tolerance=2e-6):
    """What hone's folder answers to the rows that it was taught."""
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
            assert value == pytest.approx(expected[place].item(), abs=tolerance)


DECODERS = {
    "gpt2": (
        transformers.GPT2Config,
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
        ["c_attn", "c_fc"],
    ),
    "llama": (
        transformers.LlamaConfig,
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        | {"num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64},
        ["q_proj", "v_proj", "down_proj"],
    ),
}


def write_base(base, auto, form, **more):
    base.mkdir()
    write_tiny_model(base)  # for its tokenizer
    kind, sizes, _ = form
    torch.manual_seed(3)
    auto.from_config(kind(vocab_size=65, pad_token_id=0, **sizes, **more)).save_pretrained(base)


def write_adapter(base, adapter, auto, task_type, targets):
    """PEFT's, with weights that are not those of the beginning."""
    options = {"r": 4, "lora_alpha": 8, "target_modules": targets}
    model = peft.get_peft_model(
        auto.from_pretrained(base), peft.LoraConfig(task_type=task_type, **options)
    )
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.add_(0.2 * torch.randn_like(value))
    model.save_pretrained(adapter)
    return model.eval()


def merge_an_adapter(tmp_path, auto, task_type, form, **more):
    """PEFT's base model, that with an adapter of other weights, and what hone merges both into."""
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    write_base(base, auto, form, **more)
    model = write_adapter(base, adapter, auto, task_type, form[2])
    subprocess.run([str(HONE), "merge", str(adapter), str(merged)], check=True, capture_output=True)
    return auto.from_pretrained(base).eval(), model, auto.from_pretrained(merged).eval()


def check_merged(bare, adapted, merged, inputs, least=1e-2):
    with torch.no_grad():
        ours, theirs = merged(**inputs).logits, adapted(**inputs).logits
        without = bare(**inputs).logits
    assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()
    assert (without - theirs).abs().max() > least


@pytest.mark.parametrize("family", DECODERS)
def test_adapters_of_decoders_merge_into_models_of_equal_logits(tmp_path, family):
    auto = transformers.AutoModelForCausalLM
    models = merge_an_adapter(tmp_path, auto, "CAUSAL_LM", DECODERS[family], initializer_range=0.3)
    ids = torch.randint(1, 60, (3, 11), generator=torch.Generator().manual_seed(1))
    check_merged(*models, {"input_ids": ids})


WRITERS = {
    "t5": (
        transformers.T5Config,
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
        | {"eos_token_id": 3, "decoder_start_token_id": 0},
        ["q", "v", "wo"],
    ),
    "bart": (
        transformers.BartConfig,
        {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
        | {"decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
        | {"max_position_embeddings": 64, "init_std": 0.3, "bos_token_id": 2, "eos_token_id": 3}
        | {"decoder_start_token_id": 3, "forced_eos_token_id": 3},
        ["q_proj", "v_proj", "fc1"],
    ),
}


def source_and_target():
    draws = torch.Generator().manual_seed(1)
    return {
        "input_ids": torch.randint(4, 60, (3, 11), generator=draws),
        "decoder_input_ids": torch.randint(4, 60, (3, 7), generator=draws),
    }


@pytest.mark.parametrize("family", WRITERS)
def test_adapters_of_encoder_decoders_merge_into_models_of_equal_logits(tmp_path, family):
    auto = transformers.AutoModelForSeq2SeqLM
    models = merge_an_adapter(tmp_path, auto, "SEQ_2_SEQ_LM", WRITERS[family])
    check_merged(*models, source_and_target())
    assert (tmp_path / "merged/generation_config.json").exists()


TAUGHT_WRITERS = {
    "t5, some in full": (
        "t5",
        {"peft_type": "LORA", "r": 4, "target_modules": ["q", "wo"]}
        | {"modules_to_save": ["final_layer_norm"]},
    ),
    "t5, ranks": (
        "t5",
        {"peft_type": "ADALORA", "init_r": 4, "target_r": 2, "tfinal": 1}
        | {"target_modules": r"(encoder|decoder)\.block\.\d\.layer\.0\.SelfAttention\.(q|v)"},
    ),
    "t5, factors": ("t5", {"peft_type": "IA3"}),
    "bart": ("bart", {"peft_type": "LORA", "r": 4}),
}


@pytest.mark.parametrize("form", TAUGHT_WRITERS)
def test_hones_folder_of_an_encoder_decoder_gives_equal_logits_in_peft(tmp_path, form):
    family, section = TAUGHT_WRITERS[form]
    base, merged = tmp_path / "base", tmp_path / "merged"
    auto = transformers.AutoModelForSeq2SeqLM
    write_base(base, auto, WRITERS[family])
    options = {"max_new_tokens": 6}
    run_probe(tmp_path, base, "seq2seq", {"learning_rate": 3e-2}, options, peft=section)
    merge = [str(HONE), "merge", str(tmp_path / "final"), str(merged)]
    subprocess.run(merge, check=True, capture_output=True)
    adapted = peft.PeftModel.from_pretrained(auto.from_pretrained(base), str(tmp_path / "final"))
    bare, plain = auto.from_pretrained(base).eval(), auto.from_pretrained(merged).eval()
    check_merged(bare, adapted.eval(), plain, source_and_target(), least=1e-3)


@pytest.mark.parametrize("family", DECODERS)
def test_hones_folder_of_a_decoder_gives_equal_logits_in_peft(tmp_path, family):
    base = tmp_path / "base"
    form = DECODERS[family]
    write_base(base, KINDS["classify"], form, initializer_range=0.3, num_labels=3)
    section = {"peft_type": "LORA", "r": 4, "target_modules": form[2]}
    story = run_probe(tmp_path, base, "classify", {"learning_rate": 1e-2}, peft=section)
    model = loaded_by_peft(tmp_path / "final", "classify", base).eval()
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([s["ids"]])).logits[0] for s in story["samples"]]
    check_scores(tmp_path, model, torch.stack(rows).softmax(-1), tolerance=1e-5)


@pytest.mark.parametrize(
    "family, tied", [("llama", True), ("llama", False), ("gpt2", True), ("t5", True)]
)
def test_an_adapter_of_the_output_is_not_merged(tmp_path, family, tied):
    """The output would stay the base model's, and nothing would tell."""
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    auto, task_type = (
        (transformers.AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM")
        if family in WRITERS
        else (transformers.AutoModelForCausalLM, "CAUSAL_LM")
    )
    form = (DECODERS | WRITERS)[family]
    write_base(base, auto, form, tie_word_embeddings=tied)
    write_adapter(base, adapter, auto, task_type, [form[2][0], "lm_head"])
    merge = [str(HONE), "merge", str(adapter), str(merged)]
    done = subprocess.run(merge, capture_output=True, text=True)
    assert done.returncode == 4 and "lm_head" in done.stderr, done.stderr
    assert not merged.exists()


def test_a_tied_table_of_words_is_not_merged(tmp_path):
    """PEFT trains a copy of it, beside which the output is the old one."""
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    base.mkdir()
    write_tiny_model(base)
    kind, sizes, _ = DECODERS["gpt2"]
    config = kind(vocab_size=65, pad_token_id=0, **sizes)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    options = {"r": 2, "target_modules": ["c_fc"], "modules_to_save": ["wte"]}
    peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options)).save_pretrained(
        adapter
    )
    done = subprocess.run(
        [str(HONE), "merge", str(adapter), str(merged)], capture_output=True, text=True
    )
    assert done.returncode == 4 and "tie_word_embeddings" in done.stderr, done.stderr
    assert not merged.exists()


@pytest.mark.parametrize("width", [24, 32])  # heads of 6 and of 8 numbers
def test_a_prefix_begins_as_the_keys_and_values_of_a_text(tmp_path, width):
    base, run = tmp_path / "base", tmp_path / "run"
    base.mkdir()
    write_tiny_model(base)  # for its tokenizer
    kind, sizes, _ = DECODERS["llama"]
    torch.manual_seed(3)
    config = kind(
        **{**sizes, "hidden_size": width, "vocab_size": 65, "initializer_range": 0.3},
        pad_token_id=0,
        num_labels=2,
    )
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(base)
    rows = [{"text": "word1 word2", "label": "a"}, {"text": "word3", "label": "b"}] * 4
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model": {"path": str(base)},
        "task": {"name": "classify"},
        "data": {"train": {"path": str(tmp_path / "rows.jsonl")}},
        "train": {"max_steps": 1, "learning_rate": 1e-30, "precision": "fp32"}
        | {"eval_strategy": "no"},
        "peft": {"peft_type": "prefix_tuning", "num_virtual_tokens": 6}
        | {"prefix_init_text": "word5 word7"},
        "output": {"dir": str(run)},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    subprocess.run(
        [str(HONE), "train", str(tmp_path / "run.yaml")], check=True, capture_output=True
    )
    ours = load_file(run / "model/adapter_model.safetensors")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    prefix = (tokenizer("word5 word7")["input_ids"] * 6)[:6]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base).eval()
    with torch.no_grad():
        model.score.weight.copy_(ours["base_model.score.weight"])
        cache = model.model(torch.tensor([prefix]), use_cache=True).past_key_values
        text = tokenizer("word1 word2")["input_ids"]
        theirs = model(torch.tensor([prefix + text])).logits.softmax(-1)[0]
    begun = [
        part[0].transpose(0, 1).reshape(6, -1)
        for layer in cache.layers
        for part in (layer.keys, layer.values)
    ]
    assert torch.allclose(ours["prompt_embeddings"], torch.cat(begun, 1), atol=1e-5)
    command = [str(HONE), "predict", str(run / "model"), str(tmp_path / "rows.jsonl")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    scores = json.loads(told.splitlines()[0])["scores"]
    assert torch.allclose(theirs, torch.tensor([scores["a"], scores["b"]]), atol=2e-6)


ADAPTERS_PYTHON = os.environ.get("HONE_ADAPTERS_PYTHON")  # one that has the adapters library


@pytest.mark.skipif(
    not ADAPTERS_PYTHON, reason="HONE_ADAPTERS_PYTHON names no interpreter: make adapters-library"
)
@pytest.mark.parametrize("form", ["double_seq_bn", "seq_bn", "par_bn"])
def test_the_adapters_library_loads_what_hone_trained(tmp_path, form):
    base = tmp_path / "model"
    base.mkdir()
    write_tiny_model(base)
    options = {"peft_type": form, "reduction_factor": 4}
    story = run_probe(tmp_path, base, "classify", {"learning_rate": 1e-2}, peft=options)
    (tmp_path / "ids.json").write_text(json.dumps([s["ids"] for s in story["samples"]]))
    script = [ADAPTERS_PYTHON, str(ROOT / "tests/golden/bottlenecks.py"), "check"]
    told = subprocess.run(
        [*script, str(base), str(tmp_path / "final"), str(tmp_path / "ids.json")],
        capture_output=True,
        text=True,
        check=True,
    )
    logits = torch.tensor(json.loads(told.stdout.splitlines()[-1]))
    done = subprocess.run(
        [str(HONE), "predict", str(tmp_path / "final"), "--precision", "fp32", "--quiet"],
        input=(tmp_path / "rows.jsonl").read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    labels = json.loads((tmp_path / "final/config.json").read_text())["label2id"]
    for line, expected in zip(done.stdout.splitlines(), logits.softmax(-1), strict=True):
        for label, value in json.loads(line)["scores"].items():
            assert value == pytest.approx(expected[labels[label]].item(), abs=2e-6)


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
        {
            "kind": peft.AdaLoraConfig,
            "target_modules": ["query", "dense"],
            "init_r": 4,
            "target_r": 2,
            "total_step": 10,
        },
        {"kind": peft.LNTuningConfig, "target_modules": ["LayerNorm"]},
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
    assert proof["largest_difference"] < 1e-4 * proof["largest_value"]
    if options.get("kind") is not peft.LNTuningConfig:  # whose weights replace the base's
        assert proof["largest_difference"] > 0
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


def save_labels(model, folder):
    """Beside an adapter's folder, which has none: Transformers' config.json with those of the rows."""
    config = model.get_base_model().config
    config.architectures = [type(model.get_base_model()).__name__]
    config.id2label = dict(enumerate("abc"))
    config.label2id = {label: place for place, label in enumerate("abc")}
    config.save_pretrained(folder)


def virtual_tokens_of_peft(tmp_path, kind, **options):
    """PEFT's model, and the folders of its base and of itself."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    model = random_adapter(base, adapter, kind=kind, num_virtual_tokens=3, **options)
    save_labels(model, adapter)
    return model, base, adapter


def go_on(tmp_path, adapter):
    """A run that goes on with an adapter, at a rate that changes nothing."""
    write_rows(tmp_path / "rows.jsonl", "classify", 12)
    config = {
        "model": {"path": str(adapter)},
        "task": {"name": "classify", "labels": list("abc")},
        "data": {"train": {"path": str(tmp_path / "rows.jsonl")}},
        "train": {"max_steps": 1, "learning_rate": 1e-30, "precision": "fp32"}
        | {"eval_strategy": "no"},
        "output": {"dir": str(tmp_path / "run")},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    command = [str(HONE), "train", str(tmp_path / "run.yaml"), "--overwrite"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    "kind, options",
    [
        (peft.PromptTuningConfig, {}),
        (peft.PrefixTuningConfig, {}),
        (peft.PrefixTuningConfig, {"prefix_projection": True, "encoder_hidden_size": 16}),
        (peft.PromptEncoderConfig, {"encoder_hidden_size": 16}),  # P-tuning
    ],
)
def test_virtual_tokens_that_peft_trained_go_on_with_equal_logits(tmp_path, kind, options):
    model, base, adapter = virtual_tokens_of_peft(tmp_path, kind, **options)
    done = go_on(tmp_path, adapter)
    assert done.returncode == 0, done.stderr
    assert "the adapter goes on, its head too" in done.stderr, done.stderr
    folder = tmp_path / "run/model"
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    inputs = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.softmax(-1)
        bare = model.base_model(**inputs).logits.softmax(-1)
        again = loaded_by_peft(folder, "classify", base).eval()(**inputs).logits.softmax(-1)
    assert (bare - expected).abs().max() > 1e-3  # they matter
    assert torch.allclose(again, expected, atol=2e-6)
    command = [str(HONE), "predict", str(folder), str(tmp_path / "rows.jsonl"), "--precision"]
    told = subprocess.run([*command, "fp32"], check=True, capture_output=True, text=True).stdout
    ours = [json.loads(line)["scores"] for line in told.splitlines()]
    found = torch.tensor([[scores[label] for label in "abc"] for scores in ours])
    assert torch.allclose(found, expected, atol=2e-6), (found - expected).abs().max()


def test_an_adapter_whose_head_is_missing_goes_on_with_a_fresh_one_or_not_at_all(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    model = random_adapter(base, adapter, r=4, target_modules=["query"])
    weights = load_file(adapter / "adapter_model.safetensors")
    without = {name: value for name, value in weights.items() if "lora" in name}
    assert len(without) < len(weights)
    save_file(without, adapter / "adapter_model.safetensors")
    done = go_on(tmp_path, adapter)
    assert done.returncode == 0 and "with a fresh head" in done.stderr, done.stderr
    save_labels(model, adapter)  # the run's labels: the head should be there
    done = go_on(tmp_path, adapter)
    assert done.returncode == 4 and "classifier" in done.stderr, done.stderr


def test_modules_in_full_go_on_beside_a_fresh_head(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    random_adapter(base, adapter, r=4, target_modules=["query"], modules_to_save=["LayerNorm"])
    done = go_on(tmp_path, adapter)
    assert done.returncode == 0 and "with a fresh head" in done.stderr, done.stderr
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (adapter, tmp_path / "run/model")
    )  # fmt: skip
    kept = [name for name in before if "classifier" not in name]
    assert sum("LayerNorm" in name for name in kept) == 2 * 7
    for name in kept:
        assert torch.equal(before[name], after[name]), name


def test_an_adapter_of_embeddings_does_not_go_on(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    random_adapter(base, adapter, r=4, target_modules=["query", "word_embeddings"])
    done = go_on(tmp_path, adapter)
    assert done.returncode == 4 and "would be lost" in done.stderr, done.stderr
    assert "word_embeddings.lora_embedding_A" in done.stderr


def test_virtual_tokens_of_peft_are_not_merged(tmp_path):
    _, _, adapter = virtual_tokens_of_peft(tmp_path, peft.PromptTuningConfig)
    merge = [str(HONE), "merge", str(adapter), str(tmp_path / "merged")]
    done = subprocess.run(merge, capture_output=True, text=True)
    assert done.returncode == 2 and "virtual tokens" in done.stderr, done.stderr
    assert not (tmp_path / "merged").exists()


@pytest.fixture(scope="module")
def two_adapters(tmp_path_factory):
    """A base model, and two adapters of it, of different ranks and targets, as hone trained them."""
    folder = tmp_path_factory.mktemp("two")
    base = folder / "model"
    base.mkdir()
    write_tiny_model(base)
    forms = [
        {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]},
        {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query", "dense"]},
    ]
    folders = []
    for place, form in enumerate(forms):
        run = folder / f"run{place}"
        run.mkdir()
        train = {"learning_rate": 1e-2, "seed": 42 + place}
        run_probe(run, base, "classify", train, peft=form)
        folders.append(run / "final")
    return base, folders


def changes_of(folder, base):
    """What the adapter of a folder changes of each weight of the base model."""
    before = {name: value.clone() for name, value in base.state_dict().items()}
    merged = peft.PeftModel.from_pretrained(base, str(folder)).merge_and_unload().state_dict()
    return {name: merged[name] - before[name] for name in before if name in merged}


DENSITY, SHARES = 0.3, (0.7, 0.5)


def combined_by_hone(folders, out, combination):
    options = ["--weight", str(SHARES[0]), "--combination", combination]
    merge = [str(HONE), "merge", str(folders[0]), str(out), f"{folders[1]}={SHARES[1]}", *options]
    subprocess.run([*merge, "--density", str(DENSITY)], capture_output=True, check=True)
    return load_file(out / "model.safetensors")


def changed_weights(base, folders):
    """Name and value of each weight of the base model that some adapter changes, and the changes."""
    config = transformers.AutoConfig.from_pretrained(folders[0])
    plain = KINDS["classify"].from_pretrained(base, config=config).state_dict()
    changes = [
        changes_of(folder, KINDS["classify"].from_pretrained(base, config=config))
        for folder in folders
    ]
    for name in (name for name in plain if name.startswith("bert.")):
        parts = [change[name] for change in changes]
        if any(part.abs().max() > 0 for part in parts):
            yield name, plain[name], parts


@pytest.mark.parametrize("combination", ["linear", "ties"])
def test_adapters_are_combined_as_pefts_merge_utils_do(two_adapters, tmp_path, combination):
    from peft.utils import merge_utils

    base, folders = two_adapters
    combined = combined_by_hone(folders, tmp_path / "combined", combination)
    weights = torch.tensor(SHARES)
    moved = 0
    for name, before, parts in changed_weights(base, folders):
        moved += 1
        together = (
            merge_utils.task_arithmetic(parts, weights)
            if combination == "linear"
            else merge_utils.ties(parts, weights, density=DENSITY)
        )
        assert torch.allclose(combined[name], before + together, atol=1e-6), name
    assert moved > 9
    heads = [load_file(folder / "adapter_model.safetensors") for folder in folders]
    mean = sum(
        weight * head["base_model.model.classifier.weight"] for weight, head in zip(weights, heads)
    ) / sum(weights)
    assert torch.allclose(combined["classifier.weight"], mean, atol=1e-6)


def drawn_changes(parts, combination):
    """What becomes of two changes where each number of both, or of one, or of none was drawn."""
    from peft.utils import merge_utils

    weights = torch.tensor(SHARES)[:, None, None]
    for kept in itertools.product((0, 1), repeat=2):
        drawn = torch.stack([part * one / DENSITY for part, one in zip(parts, kept)])
        if combination == "dare_linear":
            yield kept, (drawn * weights).sum(0)
        else:
            signs = merge_utils.calculate_majority_sign_mask(drawn)
            yield kept, merge_utils.disjoint_merge(drawn * weights, signs)


@pytest.mark.parametrize("combination", ["dare_linear", "dare_ties"])
def test_a_share_of_the_changes_is_drawn_and_joined_as_peft_does(
    two_adapters, tmp_path, combination
):
    base, folders = two_adapters
    combined = combined_by_hone(folders, tmp_path / "combined", combination)
    first_kept = numbers = 0
    for name, before, parts in changed_weights(base, folders):
        kinds, joined = zip(*drawn_changes(parts, combination))
        distances = (torch.stack(joined) - (combined[name] - before)).abs()
        nearest = distances.min(0)
        assert nearest.values.max() < 1e-5, name
        if combination == "dare_linear" and "query" in name:  # which both change
            has_first = torch.tensor([kept[0] for kept in kinds], dtype=torch.bool)
            first_kept += int(has_first[nearest.indices].sum())
            numbers += before.numel()
    if numbers:
        assert first_kept / numbers == pytest.approx(DENSITY, abs=0.05)


def test_an_adapter_whose_ranks_were_taken_away_merges(tmp_path):
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    base.mkdir()
    write_tiny_model(base)
    options = {"target_modules": ["query", "value"], "init_r": 4, "target_r": 2, "total_step": 10}
    model = random_adapter(base, adapter, kind=peft.AdaLoraConfig, **options)
    kept = [[True, False, True, True], [False, True, False, False], [False] * 4]
    model.peft_config["default"].rank_pattern = {
        f"bert.encoder.layer.{layer}.attention.self.{name}.lora_E": kept[(layer + place) % 3]
        for layer in range(3)
        for place, name in enumerate(("query", "value"))
    }
    model.save_pretrained(adapter)
    subprocess.run([str(HONE), "merge", str(adapter), str(merged)], check=True, capture_output=True)
    config = transformers.AutoConfig.from_pretrained(merged)
    theirs = KINDS["classify"].from_pretrained(base, config=config)
    theirs = peft.PeftModel.from_pretrained(theirs, str(adapter)).eval()
    plain = KINDS["classify"].from_pretrained(merged).eval()
    ids = torch.randint(0, 60, (5, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, theirs(ids).logits, atol=2e-5)


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


def test_an_adapter_is_not_merged_into_weights_in_fewer_bits(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    write_tiny_model(base)
    random_adapter(base, adapter, r=4, target_modules=["query"])
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"load_in_4bit": True}
    (base / "config.json").write_text(json.dumps(config))
    merge = [str(HONE), "merge", str(adapter), str(tmp_path / "merged")]
    done = subprocess.run(merge, capture_output=True, text=True)
    assert done.returncode == 4 and "quantization_config" in done.stderr, done.stderr
    assert not (tmp_path / "merged").exists()


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

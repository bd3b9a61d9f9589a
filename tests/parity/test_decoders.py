"""Decoders against Transformers: logits, loss of the next token, hidden states, every gradient, ten steps, classifiers, saved folders.

Run with .venv-peers/bin/python -m pytest tests/parity/test_decoders.py. HONE_BUILD names the build folder (default build/release),
HONE_SMOLLM2 a folder of SmolLM2-135M-Instruct.
"""

import json
import os
import pathlib
import random
import subprocess

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from test_models import PROBE, make_inputs, packed, run_probe, samples, with_padding
from test_tasks import SHARED, ask, distances
from test_training import optimizer_and_schedule, run_probe as run_training

GRADIENT_TOLERANCE = 1e-5  # relative to the largest gradient of the weight
WORDS = 120

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")
transformers.logging.set_verbosity_error()

SMALL = dict(
    vocab_size=WORDS,
    hidden_size=48,
    intermediate_size=72,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    pad_token_id=None,
    bos_token_id=None,
    eos_token_id=None,
)
GPT2 = dict(
    vocab_size=WORDS, n_embd=48, n_layer=3, n_head=4, n_positions=40, bos_token_id=None,
    eos_token_id=None,
)  # fmt: skip


def rope(kind, theta=500.0, **parameters):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **parameters}}


def of(name, **options):
    config = getattr(transformers, f"{name}Config")
    return lambda **more: config(**(GPT2 if name == "GPT2" else SMALL) | options | more)


FAMILIES = {
    "gpt2": of("GPT2"),
    "gpt2_untied": of(
        "GPT2",
        n_inner=72,
        activation_function="relu",
        scale_attn_weights=False,
        scale_attn_by_inverse_layer_idx=True,
        tie_word_embeddings=False,
    ),
    "llama": of("Llama"),
    "llama_biases": of(
        "Llama",
        head_dim=20,
        num_key_value_heads=1,
        attention_bias=True,
        mlp_bias=True,
        hidden_act="gelu",
        tie_word_embeddings=True,
    ),
    "llama_linear": of("Llama", **rope("linear", factor=3.0)),
    "llama_dynamic": of("Llama", max_position_embeddings=16, **rope("dynamic", factor=4.0)),
    "llama_yarn": of(
        "Llama",
        head_dim=16,
        **rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4, beta_slow=1),
    ),
    "llama_yarn_scaled": of(
        "Llama",
        head_dim=16,
        **rope(
            "yarn",
            factor=8.0,
            original_max_position_embeddings=32,
            mscale=0.7,
            mscale_all_dim=0.4,
            truncate=False,
        ),
    ),
    "llama3": of(
        "Llama",
        head_dim=16,
        **rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=32,
        ),
    ),
    "mistral": of("Mistral", head_dim=16, sliding_window=5),
    "mistral_unwindowed": of("Mistral", sliding_window=None),
    "qwen2": of("Qwen2", tie_word_embeddings=True),
    "qwen2_windows": of("Qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=1),
    "qwen3": of("Qwen3", head_dim=16, tie_word_embeddings=True),
    "qwen3_windows": of(
        "Qwen3",
        head_dim=8,
        attention_bias=True,
        use_sliding_window=True,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "phi3": of("Phi3", sliding_window=7, **rope("default", theta=100.0, partial_rotary_factor=0.5)),
    "phi3_long": of(
        "Phi3",
        max_position_embeddings=256,
        original_max_position_embeddings=64,
        **rope(
            "longrope",
            short_factor=[1.0, 1.1, 1.3, 1.7, 2.2, 3.0],
            long_factor=[2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        ),
    ),
    "phi3_longer": of(  # than what its short divisors are for, most samples are
        "Phi3",
        max_position_embeddings=256,
        original_max_position_embeddings=8,
        **rope(
            "longrope",
            short_factor=[1.0, 1.1, 1.3, 1.7, 2.2, 3.0],
            long_factor=[2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        ),
    ),
    "gemma2": of(
        "Gemma2",
        head_dim=16,
        sliding_window=5,
        query_pre_attn_scalar=20,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
    ),
    "gemma2_uncapped": of(
        "Gemma2",
        head_dim=8,
        attention_bias=True,
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
        sliding_window=3,
        tie_word_embeddings=False,
    ),
}


def random_model(family, model=transformers.AutoModelForCausalLM, seed=0, **more):
    """Biases and norms away from 0 and 1 too, else they prove nothing."""
    torch.manual_seed(seed)
    network = model.from_config(FAMILIES[family](**more), attn_implementation="eager")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network.float().eval()


def with_targets(ids):
    """The next token of each, and none after a sample's last."""
    inputs = packed(ids)
    inputs["targets"] = torch.cat([torch.cat([one[1:], torch.tensor([-100])]) for one in ids])
    return inputs


def next_token_reference(model, inputs):
    """Each sample by itself; the loss and the gradients are sums over them."""
    model.zero_grad()
    logits, total = [], 0.0
    ends = inputs["cu_seqlens"].tolist()
    for begin, end in zip(ends, ends[1:]):
        output = model(input_ids=inputs["ids"][None, begin:end], use_cache=False)
        loss = torch.nn.functional.cross_entropy(
            output.logits[0].float(),
            inputs["targets"][begin:end],
            ignore_index=-100,
            reduction="sum",
        )
        loss.backward()
        total += loss.item()
        logits.append(output.logits[0].detach())
    return torch.cat(logits), total, {n: p.grad for n, p in model.named_parameters()}


def assert_near(found, expected, what="", tolerance=GRADIENT_TOLERANCE):
    assert found.shape == expected.shape, what
    difference = (found - expected).abs().max().item() / max(expected.abs().max().item(), 1e-12)
    assert difference < tolerance, f"{what}: relative difference {difference:.1e}"


def assert_equal_next_tokens(model, folder, ids, tmp_path, tolerance=GRADIENT_TOLERANCE):
    inputs = with_targets(ids)
    logits, loss, gradients = next_token_reference(model, inputs)
    output = run_probe(folder, inputs, tmp_path)
    assert_near(output["logits"], logits, "logits", tolerance)
    assert output["loss"].item() == pytest.approx(loss, rel=1e-5)
    names = {name.removeprefix("grad.") for name in output if name.startswith("grad.")}
    assert names == gradients.keys()
    for name, gradient in gradients.items():
        assert_near(output[f"grad.{name}"], gradient, name, tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_next_tokens_equal_transformers(family, tmp_path):
    model = random_model(family)
    model.save_pretrained(tmp_path / "model")
    assert_equal_next_tokens(model, tmp_path / "model", samples(WORDS), tmp_path)


@pytest.mark.parametrize("padding", [5, -1])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_lookup_trains_the_row_of_padding(family, padding, tmp_path):
    """A text may have it, as the end of a turn in SmolLM2; GPT-2 alone trains it."""
    model = random_model(family, pad_token_id=padding, tie_word_embeddings=False)
    model.save_pretrained(tmp_path / "model")
    ids = with_padding(samples(WORDS), padding % WORDS)
    assert_equal_next_tokens(model, tmp_path / "model", ids, tmp_path)
    assert model.get_input_embeddings().weight.grad[padding].any() == ("gpt2" in family)


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_equal_transformers(family, tmp_path):
    """Of the bare network, layer by layer; its checkpoint has names without a prefix."""
    model = random_model(family, transformers.AutoModel)
    model.save_pretrained(tmp_path / "model")
    inputs = make_inputs(samples(WORDS), 48, with_pooler=False)
    hidden, states = [], []
    ends = inputs["cu_seqlens"].tolist()
    for begin, end in zip(ends, ends[1:]):
        output = model(
            input_ids=inputs["ids"][None, begin:end], output_hidden_states=True, use_cache=False
        )
        hidden.append(output.last_hidden_state[0])
        states.append([state[0].detach() for state in output.hidden_states[1:-1]])
    hidden = torch.cat(hidden)
    (hidden * inputs["upstream"]).sum().backward()
    output = run_probe(tmp_path / "model", inputs, tmp_path)
    for layer, state in enumerate(zip(*states)):
        assert_near(output[f"state.{layer}"], torch.cat(state), f"layer {layer}")
    assert_near(output["hidden"], hidden.detach(), "hidden")
    for name, parameter in model.named_parameters():
        assert_near(output[f"grad.{name}"], parameter.grad, name)


@pytest.mark.parametrize(
    "family", ["gpt2", "llama_dynamic", "qwen3_windows", "phi3_longer", "gemma2"]
)
def test_neighbours_in_a_packed_batch_change_nothing(family, tmp_path):
    random_model(family).save_pretrained(tmp_path / "model")
    ids = samples(WORDS)
    together = run_probe(tmp_path / "model", with_targets(ids), tmp_path)["logits"]
    begin = 0
    for one in ids:
        alone = run_probe(tmp_path / "model", with_targets([one]), tmp_path)["logits"]
        torch.testing.assert_close(together[begin : begin + len(one)], alone, rtol=1e-5, atol=1e-5)
        begin += len(one)


# ---- checkpoints


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_weights_in_shards_are_widened(family, kind, tmp_path):
    folder = tmp_path / "model"
    random_model(family).to(kind).save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    # Read anew: the model above has its rotary angles rounded too.
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    assert_equal_next_tokens(model.eval(), folder, samples(WORDS), tmp_path)


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_names_without_the_prefix_and_pickled_weights(family, tmp_path):
    model = random_model(family)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    prefix = model.base_model_prefix + "."
    state = {name.removeprefix(prefix): tensor for name, tensor in model.state_dict().items()}
    assert "lm_head.weight" in state  # tied, and stored once more
    state["h.0.attn.bias"] = torch.ones(1, 1, 40, 40)  # a mask, as GPT-2's first files have it
    state["layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(6)
    torch.save(state, folder / "pytorch_model.bin")
    assert_equal_next_tokens(model, folder, samples(WORDS), tmp_path)


@pytest.mark.parametrize("family", ["llama_linear", "llama_yarn", "llama3", "phi3"])
def test_older_names_of_rotary_scaling(family, tmp_path):
    model = random_model(family)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    if "partial_rotary_factor" in parameters:
        config["partial_rotary_factor"] = parameters.pop("partial_rotary_factor")
    parameters["type"] = parameters.pop("rope_type")
    config["rope_scaling"] = None if parameters["type"] == "default" else parameters
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    assert_equal_next_tokens(model, folder, samples(WORDS), tmp_path)


# ---- trained models


def trained(name):
    folder = SHARED / "weights" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not there (HONE_SHARED)")
    return folder


@pytest.mark.parametrize("name", ["babyllama-tok105", "stories260K", "gpt-nano-sort"])
def test_trained_models_equal_transformers(name, tmp_path):
    folder = trained(name)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    words, longest = model.config.vocab_size, model.config.max_position_embeddings
    generator = torch.Generator().manual_seed(4)
    ids = [
        torch.randint(0, words, (length,), generator=generator)
        for length in (min(longest, 90), 3, min(longest, 40))
    ]
    assert_equal_next_tokens(model.float().eval(), folder, ids, tmp_path, tolerance=5e-5)


def test_smollm2_equals_transformers(tmp_path):
    folder = os.environ.get("HONE_SMOLLM2")
    if not folder:
        pytest.skip("HONE_SMOLLM2 names no folder")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    ids = samples(model.config.vocab_size, lengths=(60, 2, 25))
    assert_equal_next_tokens(
        model.float().eval(), pathlib.Path(folder), ids, tmp_path, tolerance=1e-4
    )


# ---- classifiers: of a text by its last token, and of tokens

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WITH_HEADS = ["gpt2", "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2"]
TEXTS = ["a film", "my card was lost, what now", "why", "the plot is thin", "no", "i want lamps"]
SENTENCES = [
    (["ann", "smith", "lives", "in", "paris"], ["B-PER", "I-PER", "O", "O", "B-LOC"]),
    (["no"], ["O"]),
    (["acme", "hired", "bo", "from", "places"], ["B-ORG", "O", "B-PER", "O", "B-LOC"]),
]
TASKS = {
    "classify": [{"text": text, "label": "aaabca"[i]} for i, text in enumerate(TEXTS)],
    "ner": [{"tokens": tokens, "tags": tags} for tokens, tags in SENTENCES],
}
LOADERS = {
    "causal_lm": transformers.AutoModelForCausalLM,
    "classify": transformers.AutoModelForSequenceClassification,
    "ner": transformers.AutoModelForTokenClassification,
}


def write_tokenizer(folder):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", *LETTERS]
    vocabulary += ["##" + letter for letter in LETTERS]
    vocabulary += [f"word{i}" for i in range(WORDS - len(vocabulary))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": 40,
        "eos_token": "[SEP]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def run_classifier(task, folder, records, dtype):
    """Each record by itself: the last token is the last one."""
    peer = LOADERS[task].from_pretrained(folder, attn_implementation="eager").eval().to(dtype)
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)  # whatever the family's own is
    logits, losses, label2id = [], [], peer.config.label2id
    for record in records:
        if task == "classify":
            ids = tokenizer(record["text"])["input_ids"]
            targets = torch.tensor([label2id[record["label"]]])
        else:
            batch = tokenizer(record["tokens"], is_split_into_words=True)
            ids, words = batch["input_ids"], batch.word_ids()
            targets = torch.tensor([
                -100 if w is None or (i > 0 and words[i - 1] == w) else label2id[record["tags"][w]]
                for i, w in enumerate(words)
            ])  # fmt: skip
        rows = peer(input_ids=torch.tensor([ids]), use_cache=False).logits
        rows = rows if task == "classify" else rows[0]
        logits.append(rows)
        losses.append(torch.nn.functional.cross_entropy(rows, targets, reduction="none"))
    loss = torch.cat(losses)
    count = loss.numel() if task == "classify" else (loss != 0).sum()
    (loss.sum() / count).backward()
    gradients = {f"grad.{n}": p.grad for n, p in peer.named_parameters() if p.grad is not None}
    return (loss.sum() / count).item(), {"logits": torch.cat(logits).detach()} | gradients


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", WITH_HEADS)
def test_classifiers_equal_transformers_and_load_there(family, task, tmp_path):
    folder = tmp_path / "base"
    random_model(family).save_pretrained(folder)
    write_tokenizer(folder)
    records = TASKS[task]
    answer = ask(
        do="step", model=str(folder), task=task, options={}, records=records,
        out=str(tmp_path / "out"),
    )  # fmt: skip
    saved = tmp_path / "out/model"
    architecture = json.loads((saved / "config.json").read_text())["architectures"][0]
    assert hasattr(transformers, architecture)
    loss, exact = run_classifier(task, saved, records, torch.float64)
    assert answer["loss"] == pytest.approx(loss, rel=1e-5)
    apart = distances(load_file(tmp_path / "out/tensors.safetensors"), exact)
    worst = max(apart, key=apart.get)
    assert apart[worst] < 2e-5, f"{worst}: {apart[worst]:.1e}"


def train_with_torch(folder, task, story, o):
    """The steps that hone took, each sample by itself: mean loss over a step's targets, clipping, AdamW."""
    model = LOADERS[task].from_pretrained(folder / "initial", attn_implementation="eager")
    model.float().train()
    optimizer, schedule = optimizer_and_schedule(model, len(story["steps"]), o)
    losses = []
    for step in story["steps"]:
        total, count = 0.0, 0
        for sample in (story["samples"][i] for micro in step for i in micro):
            targets = torch.tensor([int(v) for v in next(iter(sample["targets"].values()))])
            logits = model(input_ids=torch.tensor([sample["ids"]]), use_cache=False).logits[0]
            total = total + torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
            count += (targets != -100).sum().item()
        (total / count).backward()
        losses.append(total.item() / count)
        torch.nn.utils.clip_grad_norm_(model.parameters(), o["max_grad_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model, losses


def texts_to_learn(folder):
    """Sections of a configuration for models that write."""
    choose = random.Random(5)
    path = folder / "texts.jsonl"
    with path.open("w") as file:
        for _ in range(60):
            words = [f"word{choose.randrange(40)}" for _ in range(choose.randrange(2, 20))]
            file.write(json.dumps({"text": " ".join(words)}) + "\n")
    return {"task_options": {"form": "text"}, "data": str(path)}


@pytest.mark.parametrize("task", ["causal_lm", "ner"])
@pytest.mark.parametrize("family", WITH_HEADS)
def test_ten_steps_equal_torch(family, task, tmp_path):
    source = tmp_path / "model"
    off = ["attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"]
    model = random_model(family, classifier_dropout=0.0, **dict.fromkeys(off, 0.0))
    model.save_pretrained(source)
    write_tokenizer(source)
    o = {
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
        "warmup_steps": 3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
    }
    sections = texts_to_learn(tmp_path) if task == "causal_lm" else {}
    story = run_training(tmp_path, source, task, o, **sections)
    assert len(story["steps"]) == 10
    theirs, losses = train_with_torch(tmp_path, task, story, o)
    for step, (ours, expected) in enumerate(zip(story["events"], losses, strict=True)):
        assert ours["loss"] == pytest.approx(expected, rel=1e-4), step
    initial = load_file(tmp_path / "initial/model.safetensors")
    final = load_file(tmp_path / "final/model.safetensors")
    for name, weight in theirs.named_parameters():
        ours, expected, first = final[name], weight.detach(), initial[name]
        if name.endswith("attn.c_attn.bias"):
            # Softmax does not see a bias of keys: its gradient is rounding noise, which Adam divides by its own size.
            ours, expected, first = (torch.cat([t[:48], t[96:]]) for t in (ours, expected, first))
        moved = (expected - first).norm().item()
        assert (ours - expected).norm().item() < 1e-3 * max(moved, 1e-6), name


# ---- what cannot be


def refusal(folder, tmp_path):
    save_file(with_targets(samples(WORDS)), tmp_path / "input.safetensors")
    done = subprocess.run(
        [PROBE, folder, tmp_path / "input.safetensors", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4, done.stderr
    return done.stderr


def test_weights_that_are_no_numbers_are_named(tmp_path):
    model = random_model("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[2, 3] = float("nan")
    model.save_pretrained(tmp_path / "model")
    assert 'layers.1.mlp.up_proj.weight" has the value nan' in refusal(tmp_path / "model", tmp_path)


def test_weights_of_other_sizes_are_named(tmp_path):
    random_model("gpt2").save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps(config | {"n_inner": 50}))
    found = refusal(tmp_path / "model", tmp_path)
    assert "has shape [48, 192] but the model wants [48, 50]" in found

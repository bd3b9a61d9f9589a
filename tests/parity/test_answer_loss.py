"""Training on answers beside Transformers and PyTorch: which tokens have a loss, and ten steps of a plain loop over the same rows.

Run with .venv-peers/bin/python -m pytest tests/parity/test_answer_loss.py. HONE_BIN names the program, HONE_BUILD the folder of the probe.
"""

import json
import os
import pathlib
import random
import subprocess

import pytest
import tokenizers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HONE_BUILD", ROOT / "build/release"))
HONE, PROBE = pathlib.Path(os.environ.get("HONE_BIN", BUILD / "hone")), BUILD / "task_probe"

pytestmark = pytest.mark.skipif(
    not HONE.exists() or not PROBE.exists(), reason=f"{HONE} or {PROBE} is not built"
)

SPECIAL = ["<s>", "</s>", "<turn>", "<|im_start|>", "<|im_end|>"]
# Where the assistant's words are marked, and where they are found by rendering beginnings.
MARKED = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}</s>{% endgeneration %}{% else %}{{ m['content'] }}</s>{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = "wie how to mend a pump: the valve 阀门 is loose, café não 12 345 \n\nturn it left ... don't".split(
    " "
)


def conversations(count, seed=1):
    choose = random.Random(seed)

    def text():
        return " ".join(choose.choices(WORDS, k=choose.randrange(1, 12)))

    rows = []
    for _ in range(count):
        messages = [{"role": "system", "content": text()}] if choose.random() < 0.3 else []
        for _ in range(choose.randrange(1, 4)):
            messages += [
                {"role": "user", "content": text()},
                {"role": "assistant", "content": text()},
            ]
        rows.append({"messages": messages})
    return rows


def write_tokenizer(folder, template):
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=SPECIAL,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(
        [m["content"] for row in conversations(50) for m in row["messages"]], trainer
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    return fast


def write_model(folder, **options):
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=340,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
        eos_token_id=1,
        bos_token_id=0,
        **options,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def their_labels(tokenizer, messages, template, **more):
    """The ids, and -100 where the assistant did not write. Each part of the text is encoded by itself, as it is when an answer is asked for."""
    if template is MARKED:
        shown = tokenizer.apply_chat_template(
            messages, return_dict=True, return_assistant_tokens_mask=True, **more
        )
        ids, mask = shown["input_ids"], shown["assistant_masks"]
        return ids, [i if m else -100 for i, m in zip(ids, mask)]
    ids, labels, before = [], [], ""
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        for end, is_answer in ((place, False), (place + 1, True)):
            text = tokenizer.apply_chat_template(
                messages[:end], tokenize=False, add_generation_prompt=not is_answer, **more
            )
            assert text.startswith(before)
            part = tokenizer(text[len(before) :], add_special_tokens=False)["input_ids"]
            ids += part
            labels += part if is_answer else [-100] * len(part)
            before = text
    return ids, labels


def ask(request):
    done = subprocess.run(
        [PROBE], input=json.dumps(request) + "\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("template", [MARKED, CHATML], ids=["marked", "chatml"])
def test_the_answers_alone_have_a_loss(tmp_path, template):
    tokenizer = write_tokenizer(tmp_path, template)
    write_model(tmp_path, tie_word_embeddings=True)
    rows = conversations(60)
    ours = ask(
        {"do": "encode", "model": str(tmp_path), "task": "causal_lm", "longest": 512, "records": rows}
    )  # fmt: skip
    for row, sample in zip(rows, ours, strict=True):
        ids, labels = their_labels(tokenizer, row["messages"], template)
        assert sample["ids"] == ids
        assert [int(target) for target in sample["targets"]["next_token"]] == [*labels[1:], -100]


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "clock",
            "description": "the time",
            "parameters": {"zone": "string"},
        },
    }
]
CALLING = (
    "{% if tools %}{{ '<turn>tools\n' + (tools | tojson) + '</s>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<turn>' + m['role'] + '\n' }}"
    "{% if m['tool_calls'] %}{% for c in m['tool_calls'] %}"
    "{{ c['function']['name'] + '(' + (c['function']['arguments'] | tojson) + ')' }}{% endfor %}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


def with_a_call(messages):
    """Before the first answer the assistant asks for the time."""
    at = next(i for i, m in enumerate(messages) if m["role"] == "assistant")
    call = {
        "type": "function",
        "function": {"name": "clock", "arguments": {"zone": "UTC", "n": at}},
    }
    return [
        *messages[:at],
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "12:00"},
        *messages[at:],
    ]


def test_calls_of_tools_have_a_loss_and_what_tools_say_has_none(tmp_path):
    tokenizer = write_tokenizer(tmp_path, CALLING)
    write_model(tmp_path, tie_word_embeddings=True)
    rows = [{"messages": with_a_call(row["messages"]), "tools": TOOLS} for row in conversations(20)]
    shown = json.loads(json.dumps(rows))
    for row in shown[::2]:  # as published sets have them: JSON in texts
        row["tools"] = json.dumps(row["tools"])
        for message in row["messages"]:
            for call in message.get("tool_calls", []):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    ours = ask(
        {"do": "encode", "model": str(tmp_path), "task": "causal_lm", "longest": 512, "records": shown}
    )  # fmt: skip
    for row, sample in zip(rows, ours, strict=True):
        ids, labels = their_labels(tokenizer, row["messages"], CALLING, tools=TOOLS)
        assert sample["ids"] == ids
        assert [int(target) for target in sample["targets"]["next_token"]] == [*labels[1:], -100]


def test_completions_alone_have_a_loss(tmp_path):
    tokenizer = write_tokenizer(tmp_path, CHATML)
    write_model(tmp_path, tie_word_embeddings=True)
    rows = [
        {"prompt": m[-2]["content"] + "\n", "completion": m[-1]["content"]}
        for m in (row["messages"] for row in conversations(20))
    ]
    ours = ask(
        {"do": "encode", "model": str(tmp_path), "task": "causal_lm", "longest": 512, "records": rows,
         "options": {"form": "completion"}}
    )  # fmt: skip
    for row, sample in zip(rows, ours, strict=True):
        parts = [
            tokenizer(row[name], add_special_tokens=False)["input_ids"]
            for name in ("prompt", "completion")
        ]
        ids = [*parts[0], *parts[1], tokenizer.eos_token_id]
        assert sample["ids"] == ids
        labels = [-100] * len(parts[0]) + ids[len(parts[0]) :]
        assert [int(target) for target in sample["targets"]["next_token"]] == [*labels[1:], -100]


def alpaca(choose):
    instruction, context, output = (" ".join(choose.choices(WORDS, k=5)) for _ in range(3))
    has_input = choose.random() < 0.5
    row = {"instruction": instruction, "input": context if has_input else "", "output": output}
    asked = f"{instruction}\n\n{context}" if has_input else instruction
    return row, [{"role": "user", "content": asked}, {"role": "assistant", "content": output}]


def sharegpt(choose):
    messages = with_a_call(conversations(1, seed=choose.randrange(1000))[0]["messages"])
    names = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
    turns = []
    for message in messages:
        if "tool_calls" in message:
            calls = json.dumps(message["tool_calls"][0]["function"])
            turns.append({"from": "function_call", "value": calls})
        else:
            turns.append({"from": names[message["role"]], "value": message["content"]})
    return {"conversations": turns, "tools": json.dumps(TOOLS)}, messages


@pytest.mark.parametrize("form", [alpaca, sharegpt])
def test_rows_of_other_formats_have_the_losses_of_their_conversations(tmp_path, form):
    tokenizer = write_tokenizer(tmp_path, CALLING)
    write_model(tmp_path, tie_word_embeddings=True)
    train_with_hone(tmp_path, conversations(4), steps=1, rate=1e-3)
    choose = random.Random(4)
    rows, messages = zip(*(form(choose) for _ in range(12)))
    data, report = tmp_path / "other.jsonl", tmp_path / "report"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = subprocess.run(
        [HONE, "eval", tmp_path / "run/model", data, f"format={form.__name__}", "--report", report,
         "--precision", "fp32"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")
    more = {"tools": TOOLS} if form is sharegpt else {}
    results = [json.loads(line) for line in open(report / "predictions.jsonl")]
    for result, conversation in zip(results, messages, strict=True):
        ids, labels = their_labels(tokenizer, conversation, CALLING, **more)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[1:]))
        assert result["tokens"] == sum(label >= 0 for label in labels[1:])
        assert result["loss"] == pytest.approx(loss.item(), rel=1e-4)


def plain_loop(folder, rows, template, steps, rate):
    """SGD with momentum of nothing but Transformers and PyTorch: all rows in each step, padded, the mean over all targets."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    pairs = [their_labels(tokenizer, row["messages"], template) for row in rows]
    longest = max(len(ids) for ids, _ in pairs)
    ids = torch.tensor([i + [1] * (longest - len(i)) for i, _ in pairs])
    labels = torch.tensor([t + [-100] * (longest - len(t)) for _, t in pairs])
    mask = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i, _ in pairs])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return model, losses


def train_with_hone(folder, rows, steps, rate):
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = {
        "model": {"path": str(folder)},
        "task": {"name": "causal_lm"},
        "data": {"train": {"path": str(data)}},
        "train": {
            "max_steps": steps,
            "per_device_train_batch_size": len(rows),
            "learning_rate": rate,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "lr_scheduler_type": "constant",
            "eval_strategy": "no",
            "save_strategy": "no",
            "logging_steps": 1,
            "precision": "fp32",
        },
        "output": {"dir": str(folder / "run")},
    }
    (folder / "run.yaml").write_text(json.dumps(config))
    done = subprocess.run([HONE, "train", folder / "run.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in open(folder / "run/metrics.jsonl")]
    return [line["loss"] for line in lines if line["event"] == "step"]


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("template", [MARKED, CHATML], ids=["marked", "chatml"])
def test_ten_steps_equal_a_plain_loop(tmp_path, template, is_tied):
    write_tokenizer(tmp_path, template)
    write_model(tmp_path, tie_word_embeddings=is_tied)
    rows, steps, rate = conversations(16, seed=3), 10, 3e-3
    losses = train_with_hone(tmp_path, rows, steps, rate)
    model, expected = plain_loop(tmp_path, rows, template, steps, rate)
    assert losses == pytest.approx(expected, rel=2e-5)
    ours = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")
    for (name, weight), (_, theirs) in zip(
        ours.named_parameters(), model.named_parameters(), strict=True
    ):
        assert torch.allclose(weight, theirs, atol=2e-4), name
    assert ours.generation_config.eos_token_id is not None
    kept = transformers.AutoTokenizer.from_pretrained(tmp_path / "run/model")
    assert kept.chat_template == template

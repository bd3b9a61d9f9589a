"""`hone chat`, and `hone predict` of a model that writes: the same answers by both, streams, stops, interruptions."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from conftest import HONE, ROOT, write_jsonl

TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
POSITIONS = 4096
# All tokens that end an answer or are no letter of ASCII: what is left is shown at once.
NO_LETTERS = json.dumps([0, 1, 2, *range(97, 259)])


def write_tokenizer(folder):
    """One token for each byte, and the special ones."""
    import tokenizers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(SPECIAL + alphabet)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "chat_template": TEMPLATE,
                "model_max_length": POSITIONS,
            }
        )
    )


@pytest.fixture(scope="session")
def writer(tmp_path_factory):
    """A Hugging Face folder: a Llama of random weights with a chat template."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("writer")
    torch.manual_seed(2)
    config = transformers.LlamaConfig(
        vocab_size=256 + len(SPECIAL),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def trained(hone, writer, tmp_path_factory):
    """The same after two steps of training: a folder that hone saved."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"say {i}"},
                {"role": "assistant", "content": f"{i} is it"},
            ]
        }
        for i in range(8)
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    config = {
        "model": {"path": str(writer)},
        "task": {"name": "causal_lm", "max_new_tokens": 12},
        "data": {"train": {"path": str(folder / "rows.jsonl")}},
        "train": {"max_steps": 2, "per_device_train_batch_size": 4, "max_seq_length": 128},
        "output": {"dir": str(folder / "run")},
    }
    (folder / "run.yaml").write_text(json.dumps(config))
    hone("train", folder / "run.yaml")
    return folder / "run" / "model"


def user(*messages):
    """A conversation of messages, in turn of the user and the assistant."""
    roles = ["user", "assistant"]
    return {
        "messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(messages)]
    }


def predicted(hone, model, folder, rows, *words, **options):
    path = write_jsonl(folder / "asked.jsonl", rows)
    return hone("predict", model, path, *words, **options).rows


def test_predict_writes_answers_with_their_facts(hone, trained, tmp_path):
    rows = predicted(hone, trained, tmp_path, [user("say 1"), user("a much longer message, 2")])
    assert len(rows) == 2
    for row in rows:
        assert isinstance(row["answer"], str)
        assert row["finish_reason"] in ("end", "length")
        assert 0 < row["answer_tokens"] <= 12
        assert row["messages"][0]["role"] == "user"
    assert rows[1]["prompt_tokens"] > rows[0]["prompt_tokens"]


def test_an_answer_is_the_same_whatever_stands_beside_it(hone, trained, tmp_path):
    asked = [user("say 1"), user("say 2" * 20), user("é中"), user("x")]
    sampling = ["task.do_sample=true", "task.temperature=1.5", "--precision", "fp32"]
    together = predicted(hone, trained, tmp_path, asked, *sampling)
    backwards = predicted(hone, trained, tmp_path, asked[::-1], *sampling, "--max-tokens", "16")[
        ::-1
    ]
    assert [row["answer"] for row in backwards] == [row["answer"] for row in together]


def test_a_rows_own_seed_decides_its_draws(hone, trained, tmp_path):
    asked = [dict(user("say 1"), seed=seed) for seed in (1, 2, 1)]
    rows = predicted(hone, trained, tmp_path, asked, "task.do_sample=true", "task.temperature=5")
    assert rows[0]["answer"] == rows[2]["answer"] != rows[1]["answer"]
    path = write_jsonl(tmp_path / "bad.jsonl", [dict(user("say 1"), seed=-1), user("say 2")])
    result = hone("predict", trained, path, code=3)
    assert "from 0 to 16777215" in result.rows[0]["error"]
    assert "answer" in result.rows[1]


def test_an_answer_ends_before_a_stop_string(hone, trained, tmp_path):
    whole = predicted(hone, trained, tmp_path, [user("say 1")])[0]["answer"]
    if len(whole) < 4:
        pytest.skip("the answer is too short to be stopped")
    stop = whole[2:4]
    row = predicted(
        hone, trained, tmp_path, [user("say 1")], f"task.stop_strings={json.dumps([stop])}"
    )[0]
    assert row["answer"] == whole[: whole.index(stop)]
    assert row["finish_reason"] == "stop"


def test_options_that_cannot_be_are_refused(hone, trained, tmp_path):
    path = write_jsonl(tmp_path / "asked.jsonl", [user("say 1")])
    result = hone("predict", trained, path, "task.top_p=1.5", code=2)
    assert '"top_p" is 1.5; it must be from 0 to 1' in result.stderr
    result = hone("predict", trained, path, "task.temperature=-1", code=2)
    assert '"temperature" is -1' in result.stderr
    result = hone("predict", trained, path, "task.suppress_tokens=[9999]", code=2)
    assert "the model has tokens 0 to 258" in result.stderr


def test_chat_answers_as_predict_does_with_all_turns(hone, trained, tmp_path):
    asked = ["hello", "and now?", "é", "again"]
    lines = hone("chat", trained, "--json", stdin="\n".join(asked).encode()).rows
    assert len(lines) == len(asked)
    said = []
    rows = []
    for message, line in zip(asked, lines):
        rows.append(user(*said, message))
        said += [message, line["answer"]]
    for line, row in zip(lines, predicted(hone, trained, tmp_path, rows), strict=True):
        assert line["answer"] == row["answer"]
        assert line["prompt_tokens"] == row["prompt_tokens"]


def test_chat_streams_plain_text_through_a_pipe(hone, trained):
    plain = hone("chat", trained, stdin="hello\n".encode()).stdout
    told = hone("chat", trained, "--json", stdin="hello\n".encode()).rows[0]["answer"]
    assert plain == told + "\n"


def test_chat_takes_a_plain_model_folder_and_options(hone, writer):
    result = hone("chat", writer, "max_new_tokens=5", "--json", stdin=b"hello\n")
    assert result.rows[0]["answer_tokens"] == 5
    assert result.rows[0]["finish_reason"] == "length"
    assert "max_new_tokens" in result.stderr
    hone("chat", writer, "max_new_token=5", stdin=b"", code=2)


def test_chat_goes_on_with_a_template_that_changes_earlier_turns(hone, writer, tmp_path):
    """As Qwen3's, which shows thinking in the last turn alone: no earlier answer can be told in it."""
    folder = tmp_path / "thinking"
    shutil.copytree(writer, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    thinking = "{% if loop.last and message['role'] == 'assistant' %}<think></think>{% endif %}"
    config["chat_template"] = TEMPLATE.replace(
        "{{ message['content'] }}", thinking + "{{ message['content'] }}"
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    words = ["max_new_tokens=4", f"suppress_tokens={NO_LETTERS}"]
    lines = hone("chat", folder, *words, "--json", stdin=b"hello\nand now?\nagain\n").rows
    assert [line["answer_tokens"] for line in lines] == [4, 4, 4]


def test_predict_tells_how_many_prompts_were_cut(hone, trained, tmp_path):
    asked = write_jsonl(tmp_path / "asked.jsonl", [user("say 1"), user("x" * 5000)])
    result = hone("predict", trained, asked)
    assert len(result.rows) == 2
    assert "1 of 2 rows are too long for the model" in result.stderr
    assert "asked.jsonl:2" in result.stderr


def test_chat_obeys_commands(hone, trained, tmp_path):
    saved = tmp_path / "talk.jsonl"
    lines = ["hello", "/reset", "/system be kind", "hi", f"/save {saved}", "//x", "/exit", "never"]
    result = hone("chat", trained, "--json", stdin="\n".join(lines).encode())
    assert len(result.rows) == 3
    messages = json.loads(saved.read_text())["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert messages[0]["content"] == "be kind"
    assert messages[1]["content"] == "hi"
    assert messages[2]["content"] == result.rows[1]["answer"]
    result = hone("chat", trained, "--json", stdin=b"/rest\nhello\n", code=2)
    assert 'did you mean "/reset"' in result.stderr
    assert len(result.rows) == 1


def test_chat_leaves_out_the_oldest_turns_that_have_no_room(hone, trained):
    lines = ["x" * 1500, "y" * 1500, "z" * 1500]
    result = hone("chat", trained, "--json", stdin="\n".join(lines).encode())
    assert len(result.rows) == 3
    assert "the oldest message and its answer no longer fit" in result.stderr
    assert result.rows[2]["prompt_tokens"] < POSITIONS
    result = hone("chat", trained, "--json", stdin=("x" * 5000 + "\nhello\n").encode(), code=3)
    assert "the message is too long" in result.stderr
    assert len(result.rows) == 1


def start(*arguments):
    return subprocess.Popen(
        [str(HONE), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


def test_ctrl_c_stops_the_answer_and_not_the_program(hone, writer, tmp_path):
    process = start("chat", writer, "max_new_tokens=4000", f"suppress_tokens={NO_LETTERS}")
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    os.read(process.stdout.fileno(), 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(f"/save {tmp_path}/talk.jsonl\n/exit\n".encode())
    assert process.returncode == 0, err
    assert b"stopped; what was written stays" in err
    messages = json.loads((tmp_path / "talk.jsonl").read_text())["messages"]
    assert messages[1]["content"]
    assert len(messages[1]["content"]) < 4000


def test_predict_keeps_what_there_is_when_it_is_interrupted(hone, trained, tmp_path):
    path = write_jsonl(tmp_path / "asked.jsonl", [user(f"say {i}") for i in range(6)])
    # One at a time: what is kept of all has room for one answer of this length.
    words = ["task.max_new_tokens=3000", f"task.suppress_tokens={NO_LETTERS}"]
    process = start("predict", trained, path, *words, "--max-tokens", "400")
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    rows = [json.loads(line) for line in [first, *out.splitlines()]]
    assert rows[0]["finish_reason"] == "length"
    assert len(rows) < 6
    assert [row["finish_reason"] for row in rows[1:]] == ["interrupted"] * (len(rows) - 1)
    assert f"interrupted: {len(rows)} rows are answered".encode() in err


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_signal_ends_the_answers_of_an_evaluation(writer, tmp_path, command):
    rows = write_jsonl(tmp_path / "rows.jsonl", [user(f"say {i}", "it is") for i in range(8)])
    held_out = write_jsonl(tmp_path / "dev.jsonl", [user(f"ask {i}", "it was") for i in range(8)])
    task = {"name": "causal_lm", "metrics": ["rouge"], "generate_rows": 8, "max_new_tokens": 3900}
    config = {
        "model": {"path": str(writer)},
        "task": {**task, "suppress_tokens": json.loads(NO_LETTERS)},
        "data": {"train": {"path": str(rows)}, "validation": {"path": str(held_out)}},
        "train": {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 1, "logging_steps": 1},
        "output": {"dir": str(tmp_path / "run")},
    }
    if command == "sweep":
        config["sweep"] = {"keys": {"train.learning_rate": [1e-4]}}
    (tmp_path / "run.yaml").write_text(json.dumps(config))

    def events():
        for metrics in (tmp_path / "run").glob("**/metrics.jsonl"):
            whole_lines = metrics.read_text().split("\n")[:-1]
            return [json.loads(line)["event"] for line in whole_lines]
        return []

    process = start(command, tmp_path / "run.yaml")
    while process.poll() is None and "step" not in events():
        time.sleep(0.02)
    time.sleep(0.3)  # the evaluation has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert events() and "evaluation" not in events()


def test_a_model_whose_scores_are_no_numbers_is_named(hone, writer, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(writer, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], 1e38)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    result = hone("chat", broken, stdin=b"hello\n", code=4)
    assert "scores of token 1 of the answer are no numbers" in result.stderr


def test_a_model_without_a_chat_template_is_refused(hone, tiny_model):
    result = hone("chat", tiny_model, stdin=b"hello\n", code=4)
    assert "template" in result.stderr

"""Help, hints, exit codes, completion, init, env, tokenize: what answers without a run."""

import json
import re
import subprocess

import pytest
from conftest import HONE, ROOT, SHARED

COMMANDS = [
    "train",
    "eval",
    "predict",
    "score",
    "check",
    "embed",
    "search",
    "tokenize",
    "merge",
    "tokenizer",
    "init",
    "pull",
    "env",
    "completion",
]


def test_help_lists_every_command(hone):
    shown = hone("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", shown, re.MULTILINE), command
    assert hone("help").stdout == shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(hone, command):
    shown = hone(command, "--help").stdout
    assert f"hone {command}" in shown
    assert hone("help", command).stdout == shown


def test_no_command_is_a_usage_error_that_shows_the_commands(hone):
    assert "train" in hone(code=2).stderr


def test_version(hone):
    assert re.fullmatch(r"hone \d+\.\d+\.\d+\n", hone("--version").stdout)


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (["trian"], 'no command "trian"; did you mean "train"?'),
        (["train", "x.yaml", "--rseume"], 'no option "--rseume"; did you mean "--resume"?'),
        (["predict", "m", "--precison", "bf16"], 'did you mean "--precision"?'),
        (["predict", "m", "--precision", "fp23"], 'did you mean "fp32"?'),
        (["predict", "m", "--max-tokens", "0"], "not a whole number from 1 on"),
        (["predict", "m", "--threads", "two"], "not a whole number from 0 on"),
        (["train"], "CONFIG is required"),
        (["eval", "m"], "DATA is required"),
        (["pull", "a", "b"], '"b" is one argument too many'),
        (["init", "clasify"], 'did you mean "classify"?'),
        (["completion", "fish"], "none of bash, zsh"),
        (["--vresion"], 'did you mean "--version"?'),
    ],
)
def test_mistakes_on_the_command_line_get_a_hint(hone, arguments, hint):
    result = hone(*arguments, code=2)
    assert hint in result.stderr
    assert result.stdout == ""
    assert "--help" in result.stderr


@pytest.mark.parametrize(
    "override, hint",
    [
        ("train.lerning_rate=1", 'did you mean "learning_rate"?'),
        ("trian.seed=1", 'did you mean "train"?'),
        ("data.train.fromat=csv", 'did you mean "format"?'),
        ("task.txet=text", 'did you mean "text"?'),
        ("task.name=clasify", 'did you mean "classify"?'),
        ("train.lr_scheduler_type=cosin", 'did you mean "cosine"?'),
    ],
)
def test_misspelt_configuration_gets_a_hint(hone, tmp_path, override, hint):
    config = tmp_path / "c.yaml"
    config.write_text(
        "model: {path: nowhere}\ntask: {name: classify}\ndata: {train: {path: a.jsonl}}\noutput: {dir: out}\n"
    )
    assert hint in hone("train", config, override, code=2).stderr


def test_misspelt_key_in_the_file_names_its_place(hone, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "model: {path: nowhere}\ntask: {name: classify}\ndata: {train: {path: a.jsonl}}\ntrain:\n  seed: 1\n  warmup_step: 3\noutput: {dir: out}\n"
    )
    assert re.search(
        rf'{re.escape(str(config))}:6:\d+: .*"warmup_step".*did you mean "warmup_steps"',
        hone("train", config, code=2).stderr,
    )


def test_init_writes_a_configuration_that_checks(hone, tmp_path):
    result = hone("init", "classify", tmp_path / "new")
    path = result.stdout.strip()
    assert path == str(tmp_path / "new/config.yaml")
    text = open(path).read()
    assert "examples/" not in text and "# " in text
    assert "is there already" in hone("init", "classify", tmp_path / "new", code=2).stderr
    # The only thing wrong with it is that the user's data is not there yet.
    assert "train.jsonl" in hone("check", path, f"output.dir={tmp_path}/run", code=3).stderr


def bash_completion(hone, words):
    script = hone("completion", "bash").stdout
    program = f'{script}\nCOMP_WORDS=({" ".join(words)})\nCOMP_CWORD={len(words) - 1}\n_hone\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_words_and_files(hone):
    assert bash_completion(hone, ["hone", "tr"]) == ["train"]
    assert set(COMMANDS) <= set(bash_completion(hone, ["hone", '""']))
    assert bash_completion(hone, ["hone", "train", "--re"]) == ["--resume"]
    assert bash_completion(hone, ["hone", "init", "cl"]) == ["classify"]
    assert bash_completion(hone, ["hone", "train", "READ"]) == ["README.md"]


def test_zsh_completion_names_every_command_and_option(hone):
    script = hone("completion", "zsh").stdout
    assert script.startswith("#compdef hone")
    for command in COMMANDS:
        assert f"'{command}:" in script
    assert "'--resume:" in script


def test_env_tells_versions_machine_and_what_is_registered(hone):
    shown = json.loads(hone("env", "--json").stdout)
    assert {"hone", "libtorch", "cpu", "cores", "memory_gb", "device", "precision"} <= shown.keys()
    assert {"classify", "ner"} <= set(shown["tasks"])
    assert {"bert", "roberta", "distilbert", "electra"} <= set(shown["models"])
    plain = hone("env").stdout
    assert "libtorch" in plain and "classify, " in plain and ", ner, " in plain


LOWER = {
    "bert-base-uncased": "true",
    "bert-base-chinese": "true",
    "bert-base-cased": "false",
    "bert-base-multilingual-cased": "false",
}


@pytest.mark.parametrize("name", LOWER)
def test_tokenize_gives_the_reference_ids(hone, name):
    folder = SHARED / "tokenizers"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    texts = json.loads((folder / "expected/texts.json").read_text())
    expected = next(
        json.loads(line)
        for line in open(folder / "expected/expected.jsonl")
        if json.loads(line)["tokenizer"] == name
    )
    rows = hone(
        "tokenize",
        folder / name,
        "-",
        "--jsonl",
        "--do-lower-case",
        LOWER[name],
        stdin="".join(json.dumps(text) + "\n" for text in texts).encode(),
    ).rows
    assert [row["ids"] for row in rows] == expected["ids"]


def test_tokenize_gives_tokens_and_byte_offsets(hone, tiny_model):
    (row,) = hone("tokenize", tiny_model, stdin="good é film\n".encode()).rows
    assert row["tokens"] == ["[CLS]", "good", "e", "film", "[SEP]"]
    assert row["offsets"] == [[0, 0], [0, 4], [5, 7], [8, 12], [0, 0]]
    (bare,) = hone(
        "tokenize", tiny_model, "--no-special-tokens", stdin="good é film\n".encode()
    ).rows
    assert bare["ids"] == row["ids"][1:-1]


def test_tokenize_gives_one_line_for_each_line(hone, tiny_model, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"good\n\nbad film")
    assert [len(row["ids"]) for row in hone("tokenize", tiny_model, path).rows] == [3, 2, 4]


def test_tokenize_with_a_bare_vocabulary_asks_for_its_case(hone, tmp_path, tiny_model):
    (tmp_path / "vocab.txt").write_bytes((tiny_model / "vocab.txt").read_bytes())
    assert "--do-lower-case" in hone("tokenize", tmp_path, code=4, stdin=b"x\n").stderr
    (row,) = hone("tokenize", tmp_path, "--do-lower-case", "true", stdin=b"GOOD\n").rows
    assert row["tokens"] == ["[CLS]", "good", "[SEP]"]


def test_tokenize_names_the_line_of_invalid_text(hone, tiny_model):
    assert (
        "stdin:2:6: not valid UTF-8"
        in hone("tokenize", tiny_model, code=3, stdin=b"good\nfilm \xff\n").stderr
    )
    assert "stdin:1" in hone("tokenize", tiny_model, "--jsonl", code=3, stdin=b"{}\n").stderr


def test_results_go_to_stdout_and_a_full_stdout_is_told(tiny_model):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [HONE, "tokenize", tiny_model], input=b"good\n", stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1 and b"standard output" in done.stderr

"""hone's chat templates beside Jinja2's, in the environment of Transformers: texts and answers of random messages are equal.

Drives `hone tokenize --chat`; run with .venv-peers/bin/python -m pytest tests/parity/test_chat_templates.py
HONE_ATTACK=1 takes more messages. The templates are written in the ways that published ones are.
"""

import json
import os
import pathlib
import random
import subprocess

import pytest

jinja2 = pytest.importorskip("jinja2")
chat = pytest.importorskip("transformers.utils.chat_template_utils")
ROOT = pathlib.Path(__file__).resolve().parents[2]
HONE = pathlib.Path(os.environ.get("HONE_BIN", ROOT / "build/release/hone")).resolve()
pytestmark = pytest.mark.skipif(not HONE.exists(), reason=f"{HONE} is not built")

ROUNDS = 400 if os.environ.get("HONE_ATTACK") == "1" else 25

TEMPLATES = {
    "turns": """{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}""",
    "alternating": """{%- if messages[0]['role'] == 'system' -%}
    {%- set system_message = messages[0]['content'] | trim + '\\n\\n' -%}
    {%- set messages = messages[1:] -%}
{%- else -%}
    {%- set system_message = '' -%}
{%- endif -%}
{{- bos_token -}}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('roles must alternate') -}}
    {%- endif -%}
    {%- if message['role'] == 'user' -%}
        {{- '[INST] ' + (system_message if loop.first else '') + message['content'] + ' [/INST]' -}}
    {%- else -%}
        {{- ' ' + message['content'] + eos_token -}}
    {%- endif -%}
{%- endfor -%}
""",
    "headers": """{%- set ns = namespace(first=true) %}
{%- macro header(role) %}{{ '<|start|>' ~ role ~ '<|end|>\\n\\n' }}{% endmacro %}
{{- bos_token }}
{%- if tools is not none and tools %}
    {{- header('system') }}
    {{- 'Tools:\\n\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=4) }}
        {{- '\\n\\n' if not loop.last }}
    {%- endfor %}
    {{- '<|eot|>' }}
{%- endif %}
{%- for message in messages %}
    {{- header(message.role) }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
        {{- message.content | trim }}
        {{- '<|eot|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message.content | trim + '<|eot|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- header('assistant') }}
{%- endif %}
""",
    "thinking": """{%- set ns = namespace(last=messages | length - 1, open=true) %}
{%- for message in messages[::-1] %}
    {%- set index = messages | length - 1 - loop.index0 %}
    {%- if ns.open and message.role == 'user' and not (message.content.startswith('<x>') and message.content.endswith('</x>')) %}
        {%- set ns.open = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
            {{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
    {%- else %}
        {{- message.role ~ ': ' ~ content }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}""",
    "listing": """{% set groups = messages | groupby('role') %}{% for role, group in groups %}
  {{ loop.index }}/{{ loop.length }} {{ role | title }}: {{ group | map(attribute='content') | map('trim') | join(' | ') }}
{% endfor %}
{{ messages | map(attribute='content') | select('string') | map('length') | list }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages[-1] }}{{ messages | tojson }}
{{ messages[0].content[::-1] }}|{{ messages[0].content[1:4] }}|{{ messages[-1].content.split() }}|{{ messages[0].content.upper() }}
{{ messages[0].content | title }}|{{ messages[0].content | capitalize }}|{{ messages[0].content.title() }}|{{ messages[0].content | indent(2) }}
{{ messages[0].content.splitlines() }}|{{ messages[0].content.strip().lower() }}|{{ messages[0].content | wordcount if false }}|{{ messages[0].content is lower }}
""",
}

PIECES = [
    *"abcXYZ,.!?{}%|<>\"'\\/&-_ \n\t",
    "  ",
    "\n\n",
    "<think>",
    "</think>",
    "{{ x }}",
    "{% if %}",
    "<|eot|>",
    "</s>",
    "word ",
    "héllo ",
    "中文",
    "🙂",
    "ß",
    "ǆ",
    "Σ",
    "ΑΣ ",
    "İ",
    "\u00a0",
    "\u2028",
    "\u200b",
    "\x07",
    "\x1c",
    "ﬁ",
    "é",
]


def some_text(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 12)))


def some_value(rng, depth=0):
    kinds = [
        lambda: some_text(rng),
        lambda: rng.randint(-99, 99),
        lambda: rng.random() * 10 ** rng.randint(-9, 20),
    ]
    kinds += [lambda: None, lambda: rng.random() < 0.5]
    if depth < 2:
        kinds.append(lambda: [some_value(rng, depth + 1) for _ in range(rng.randint(0, 3))])
        kinds.append(lambda: {some_text(rng): some_value(rng, depth + 1) for _ in range(3)})
    return rng.choice(kinds)()


def some_conversation(rng):
    count = rng.randint(1, 6)
    roles = ["system"] * rng.randint(0, 1) + ["user", "assistant"] * count
    if rng.random() < 0.1:
        rng.shuffle(roles)
    messages = [{"role": role, "content": some_text(rng)} for role in roles[:count]]
    if rng.random() < 0.3:
        messages[-1]["extra"] = some_value(rng)
    row = {"messages": messages, "add_generation_prompt": rng.random() < 0.5}
    if rng.random() < 0.5:
        row["tools"] = [{"type": "function", "function": some_value(rng)}]
    return row


def by_jinja(template, row):
    """Text, and answers by {% generation %} in characters; None where Jinja2 refuses."""
    compiled = chat._compile_jinja_template(template)
    messages = chat._alias_reasoning_fields(row["messages"])
    variables = {**row, "messages": messages, "bos_token": "<s>", "eos_token": "</s>"}
    variables = {"tools": None, "documents": None, **variables}
    try:
        if "generation %}" not in template:
            return compiled.render(**variables), None
        return chat._render_with_assistant_indices(
            compiled,
            messages,
            variables.pop("tools"),
            variables.pop("documents"),
            variables.pop("add_generation_prompt"),
            **{key: value for key, value in variables.items() if key != "messages"},
        )
    except Exception:
        return None


@pytest.fixture
def model(tmp_path):
    """A folder with a tokenizer of bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(alphabet))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<|eot|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    def with_template(template):
        config = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": template}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return tmp_path

    return with_template


def by_hone(folder, rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run(
        [HONE, "tokenize", str(folder), "--chat"],
        input=lines.encode(),
        capture_output=True,
        check=False,
    )
    return (
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        done.stderr.decode(),
    )


def byte_spans(text, spans):
    return [
        [len(text[:start].encode()), len(text[:end].encode())]
        for start, end in spans
        if end > start
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_random_messages_are_rendered_as_jinja2_does(model, name):
    template, rng = TEMPLATES[name], random.Random(name)
    marked = "generation %}" in template
    # Without marks answers are told by prefixes, which many a text refuses; here texts are compared.
    template += "" if marked else "{% generation %}{% endgeneration %}"
    rows = [some_conversation(rng) for _ in range(ROUNDS)]
    expected = [by_jinja(template, row) for row in rows]
    kept = [(row, known) for row, known in zip(rows, expected, strict=True) if known is not None]
    assert kept
    code, lines, error = by_hone(model(template), [row for row, _ in kept])
    assert code == 0, error
    for line, (row, (text, answers)) in zip(lines, kept, strict=True):
        assert line["text"] == text, row
        if marked:
            assert line["answers"] == byte_spans(text, answers), row
            inside = [
                any(a <= start and end <= b for a, b in line["answers"])
                for start, end in line["offsets"]
            ]
            assert [bool(one) for one in line["is_answer"]] == inside
    for row in [row for row, known in zip(rows, expected, strict=True) if known is None][:5]:
        assert by_hone(model(template), [row])[0] in (3, 4)


def test_the_ids_are_those_of_transformers_where_no_content_spells_a_special_token(model):
    from transformers import PreTrainedTokenizerFast

    folder = model(TEMPLATES["turns"])
    reference = PreTrainedTokenizerFast.from_pretrained(folder)
    rng = random.Random(3)
    rows = []
    for _ in range(ROUNDS):
        row = {
            "messages": [
                {"role": role, "content": some_text(rng)} for role in ("user", "assistant", "user")
            ],
            "add_generation_prompt": True,
        }
        if not any(token in json.dumps(row) for token in ("</s>", "<|eot|>")):
            rows.append(row)
    code, lines, error = by_hone(folder, rows)
    assert code == 0, error
    for row, line in zip(rows, lines, strict=True):
        ids = reference.apply_chat_template(
            row["messages"], add_generation_prompt=True, return_dict=False
        )
        assert line["ids"] == ids


def test_content_that_spells_a_special_token_is_plain_text(model):
    row = {
        "messages": [
            {"role": "user", "content": "</s><s> <|eot|>"},
            {"role": "assistant", "content": "</s>"},
        ]
    }
    code, lines, error = by_hone(model(TEMPLATES["turns"]), [row])
    assert code == 0, error
    assert lines[0]["tokens"].count("</s>") == 2  # the template's
    assert "<s>" not in lines[0]["tokens"] and "<|eot|>" not in lines[0]["tokens"]
    assert "".join(lines[0]["tokens"]).count("</s>") == 4

"""Every sample of docs/formats.md is read by the configuration beside it; and whole sets of these formats."""

import json
import re

import pytest
from conftest import ROOT, SHARED

PAGE = (ROOT / "docs/formats.md").read_text(encoding="utf-8")


def samples():
    """(name, files, configuration): a fence that names a file, until the fence of the configuration that reads it."""
    files, heading = {}, ""
    for match in re.finditer(
        r"^(?:## ([^\n]+)|```(\w+)(?: (\S+))?\n(.*?)^```)$", PAGE, re.MULTILINE | re.DOTALL
    ):
        title, language, name, text = match.groups()
        heading = title or heading
        if name:
            files[name] = text
        elif language == "yaml" and text.startswith("task:"):
            yield pytest.param(files, text, id=f"{heading}-{next(iter(files))}".replace(" ", "_"))
            files = {}


def check(hone, folder, model, files, text, code=0):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "run.yaml").write_text(f"model: {{path: {model}}}\n{text}output: {{dir: run}}\n")
    return hone("check", "run.yaml", "--json", cwd=folder, code=code)


@pytest.mark.parametrize("files, text", list(samples()))
def test_the_sample_of_a_format_is_read(hone, tiny_model, tmp_path, files, text):
    read = json.loads(check(hone, tmp_path, tiny_model, files, text).stdout)["data"]["train"]
    assert read["used"] >= 1
    assert read["used"] == read["rows"] and read["repaired"] == 0


def test_every_format_has_a_sample():
    source = (ROOT / "src/data/reader.cpp").read_text()
    table = re.search(r"kFormats\[\] = \{(.*?)\};", source, re.DOTALL).group(1)
    names = set(re.findall(r'\{"(\w+)"', table))
    headings = set(re.findall(r"\w+", " ".join(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))))
    assert len(names) > 10 and names <= headings
    assert len(list(samples())) > len(names)


def test_files_of_unequal_length_end_the_run_with_both_names(hone, tiny_model, tmp_path):
    text = """task: {name: ner}
data: {train: {path: in, beside: {tags: out}, fields: {tokens: text}, forms: {tokens: words, tags: words}}}
"""
    files = {"in": "anna lives\nparis\n", "out": "B-PER O\n"}
    message = check(hone, tmp_path, tiny_model, files, text, code=3).stderr
    assert "out:1: ends after 1 lines, but in has 2" in message


def test_entities_that_a_document_declares_are_never_expanded(hone, tiny_model, tmp_path):
    levels = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "lol">{levels}]>\n<a><b><text>&e12;</text></b></a>\n'
    text = "task: {name: classify}\ndata: {train: {path: a.xml, format: xml, rows: a.b}}\n"
    message = check(hone, tmp_path, tiny_model, {"a.xml": bomb}, text, code=3).stderr
    assert "a.xml:1:14: not valid XML: the document declares entities of its own" in message


@pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED}; HONE_SHARED names the folder")
@pytest.mark.parametrize(
    "task, train, rows",
    [
        (
            "{name: ner}",
            "path: $/ner/cluener2020/dev.json, fields: {entities: label}, forms: {entities: by_type}",
            1343,
        ),
        (
            "{name: qa, no_answer: ANSWERNOTFOUND}",
            "path: $/qa/subjqa_restaurants/dev.csv, fields: {context: review, answers: human_ans_indices}, "
            "forms: {answers: span_of context}",
            285,
        ),
        (
            "{name: classify}",
            "path: $/multimodal/mvsa_tweets/labels.csv, fields: {label: tag}, texts: {text: 'data/{guid}.txt'}",
            130,
        ),
        (
            "{name: ner}",
            "path: $/intent_slot/snips/valid/seq.in, beside: {tags: $/intent_slot/snips/valid/seq.out}, "
            "fields: {tokens: text}, forms: {tokens: words, tags: words}",
            700,
        ),
        (
            "{name: relation}",
            "path: $/relation/semeval2010_task8/TEST_FILE_FULL.TXT, format: semeval",
            2717,
        ),
        ("{name: relation}", "path: $/relation/literature_zh/Testing, format: brat", 25),
    ],
    ids=["cluener2020", "subjqa", "mvsa", "snips", "semeval", "literature_zh"],
)
def test_whole_sets_lose_no_row(hone, tiny_model, tmp_path, task, train, rows):
    text = f"task: {task}\ndata: {{train: {{{train}}}}}\n".replace("$", str(SHARED / "data"))
    read = json.loads(check(hone, tmp_path, tiny_model, {}, text).stdout)["data"]["train"]
    assert read["rows"] == read["used"] == rows


@pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED}; HONE_SHARED names the folder")
def test_questions_without_a_text_are_all_that_a_set_loses(hone, tiny_model, tmp_path):
    path = SHARED / "data/qa/cmrc2018/cmrc2018_trial.json"
    text = f"task: {{name: qa, scoring: cmrc}}\ndata: {{train: {{path: {path}}}}}\n"
    read = json.loads(check(hone, tmp_path, tiny_model, {}, text).stdout)["data"]["train"]
    assert (read["rows"], read["used"], read["reasons"]) == (1002, 1000, {"empty text": 2})

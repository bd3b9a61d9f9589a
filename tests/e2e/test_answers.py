"""Question answering from SQuAD's files, and relations from brat's: what is wrong in them is named, and a model learns the rest by heart."""

import json

import pytest

PEOPLE, PLACES = ["anna", "smith"], ["paris", "berlin"]


def questions():
    """Who lives where; the last question of each paragraph has no answer."""
    paragraphs = []
    for person in PEOPLE:
        for place in PLACES:
            context = f"It is late and {person} lives in {place}"
            asked = [
                ("in lives", place, context.index(place)),
                ("who lives", person, context.index(person)),
                ("was card lost", None, 0),
            ]
            paragraphs.append(
                {
                    "context": context,
                    "qas": [
                        {
                            "id": f"{person} {place} {i}",
                            "question": question,
                            "answers": [{"text": text, "answer_start": start}] if text else [],
                        }
                        for i, (question, text, start) in enumerate(asked)
                    ],
                }
            )
    return paragraphs


def write_config(folder, model, task, path, form, also="", **train):
    options = {
        "num_train_epochs": 60,
        "per_device_train_batch_size": 4,
        "learning_rate": "3e-3",
        "precision": "fp32",
        "device": "cpu",
        **train,
    }
    source = f"{{path: {path}, format: {form}}}"
    config = folder / "config.yaml"
    config.write_text(
        f"model: {{path: {model}}}\ntask: {{name: {task}}}\n"
        f"data: {{train: {source}, test: {source}, leakage: off{also}}}\n"
        f"train: {{{', '.join(f'{key}: {value}' for key, value in options.items())}}}\n"
        f"output: {{dir: {folder}/run}}\n"
    )
    return config


def test_a_squad_file_with_wrong_offsets(hone, tiny_model, tmp_path):
    paragraphs = questions()
    paragraphs[0]["qas"][0]["answers"][0]["answer_start"] = -1
    paragraphs[1]["qas"][1]["answers"].append({"text": "nobody", "answer_start": 3})
    squad = tmp_path / "squad.json"
    squad.write_text(json.dumps({"version": "2", "data": [{"paragraphs": paragraphs}]}, indent=1))
    config = write_config(tmp_path, tiny_model, "qa", squad, "auto")
    hone("train", config)
    report = json.loads((tmp_path / "run/report.json").read_text())
    repairs = report["data"]["train"]["repairs"]
    assert report["data"]["train"]["repaired"] == len(repairs) == 2
    line = squad.read_text().split('"anna paris 0"')[0].count("\n")  # of the question's bracket
    assert repairs[0]["line"] == line
    assert "does not stand at -1 but at 29" in repairs[0]["reason"]
    assert "stands nowhere in the text" in repairs[1]["reason"]
    assert report["metrics"]["f1"] == report["metrics"]["best_f1"] == 1
    never = hone("eval", tmp_path / "run/model", squad, "task.no_answer_threshold=-1000")
    assert "unanswerable_accuracy  1.0000" in never.stdout
    question = {"question": "in lives", "context": "\u3000It is late and smith lives in berlin"}
    answer = hone("predict", tmp_path / "run/model", "-", stdin=json.dumps(question).encode())
    assert answer.rows[0]["answers"] == {"text": ["berlin"], "answer_start": [31]}


def test_the_threshold_is_chosen_on_validation_data(hone, tiny_model, tmp_path):
    squad = tmp_path / "squad.json"
    squad.write_text(json.dumps({"data": [{"paragraphs": questions()}]}))
    also = f", validation: {{path: {squad}, format: auto}}"
    config = write_config(tmp_path, tiny_model, "qa", squad, "auto", also, num_train_epochs=6)
    log = hone("train", config).stderr
    report = json.loads((tmp_path / "run/report.json").read_text())
    [chosen] = report["chosen"]
    assert (chosen["option"], chosen["metric"]) == ("no_answer_threshold", "f1")
    assert f"no_answer_threshold {chosen['value']:g}"[:24] in log
    assert chosen["score"] >= chosen["usual"]
    assert report["metrics"]["f1"] == pytest.approx(chosen["score"])  # the test data are the same
    assert "was chosen on the validation data" in (tmp_path / "run/report.html").read_text()
    saved = json.loads((tmp_path / "run/model/hone.json").read_text())
    assert saved["state"]["options"]["no_answer_threshold"] == chosen["value"]
    usual = hone("eval", tmp_path / "run/model", squad, "task.no_answer_threshold=0")
    assert f"{chosen['usual']:.4f}" in usual.stdout


def test_choices_that_fill_a_blank(hone, tiny_model, tmp_path):
    """All rows are learned by heart, and answered in the form of the data."""
    places = ["paris", "late", "card"]
    rows = [
        {
            "text": f"{a} lives in #it# {b}",
            "candidates": places[i % 3 :] + places[: i % 3],
            "answer": -i % 3,
        }
        for i, (a, b) in enumerate((p, q) for p in PEOPLE for q in ("late", "card", "lost"))
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = 'choice, context: text, choices: candidates, blank: "#it#"'
    hone("train", write_config(tmp_path, tiny_model, task, path, "jsonl", learning_rate="1e-3"))
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["metrics"]["accuracy"] == 1 and report["baseline"]["metrics"]["accuracy"] < 0.34
    answers = [
        json.loads(line) for line in (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    ]
    assert [answer["answer"] for answer in answers] == [row["answer"] for row in rows]
    one = dict(rows[0], candidates=["paris"])
    wrong = dict(rows[0], candidates=[])
    asked = "".join(json.dumps(row) + "\n" for row in (one, wrong))
    answer = hone("predict", tmp_path / "run/model", "-", stdin=asked.encode(), code=3)
    assert answer.rows[0]["scores"] == [1] and "no choice" in answer.rows[1]["error"]


def test_documents_of_brat(hone, tiny_model, tmp_path):
    folder = tmp_path / "brat"
    folder.mkdir()
    for i, (person, place) in enumerate((p, q) for p in PEOPLE for q in PLACES):
        text = f"{person} lives in {place}\r\nanna is not in {place}\r\n"
        spans = [
            (0, len(person), "Person"),
            (text.index(place), text.index(place) + len(place), "Place"),
            (text.rindex("anna"), text.rindex("anna") + 4, "Person"),
            (text.rindex(place), text.rindex(place) + len(place), "Place"),
        ]
        lines = [f"T{k}\t{kind} {a} {b}\t{text[a:b]}" for k, (a, b, kind) in enumerate(spans)]
        lines.append("R1\tLives Arg1:T0 Arg2:T1")
        (folder / f"{i}.txt").write_bytes(text.encode())
        (folder / f"{i}.ann").write_text("\n".join(lines) + "\n")
    config = write_config(tmp_path, tiny_model, "relation", folder, "brat")
    hone("train", config)
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["metrics"]["macro_f1"] == report["metrics"]["exact_match"] == 1
    answers = [
        json.loads(line) for line in (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    ]
    found = answers[0]["relations"]
    assert [(r["head"], r["tail"], r["label"]) for r in found] == [("T0", "T1", "Lives")]


@pytest.mark.parametrize(
    "task, row, message",
    [
        ("qa", {"question": "q", "context": "a", "answers": 7}, 'rows.jsonl:1: "answers" must be'),
        ("qa", {"question": "q", "answers": ["a"]}, 'has no field "context"'),
        ("qa", {"question": "q", "context": "a", "answers": ["b"]}, "stands in its text"),
        (
            "choice",
            {"context": "c", "question": "q", "choices": ["a", "b"], "answer": 2},
            "numbered from 0 to 1",
        ),
        (
            "choice",
            {"context": "c", "question": "q", "choices": ["a", ""], "answer": 0},
            'rows.jsonl:1: "choices" has an empty choice 2',
        ),
        (
            "classify, type: regression, aspect: about",
            {"text": "a bat", "about": {"start": 2, "end": 9}, "label": 1.5},
            'rows.jsonl:1: "about" says from 2 to 9, but "text" has 5 characters',
        ),
        ("relation", {"text": "a <e1>b</e1>", "relation": "x"}, 'rows.jsonl:1: "text" has no <e2>'),
        (
            "ner",
            {
                "text": "a b",
                "entities": [
                    {"start": 0, "end": 3, "label": "X"},
                    {"start": 2, "end": 3, "label": "Y"},
                ],
            },
            'the task "nested_ner" learns such entities',
        ),
        (
            "nested_ner",
            {"text": "ab", "entities": [{"start": 0, "end": 9, "label": "X"}]},
            "but the text has 2 characters",
        ),
        (
            "intent_slots",
            {"tokens": ["a", "b"], "tags": ["O"], "intent": "x"},
            'rows.jsonl:1: "tags" has 1 entries but "tokens" has 2',
        ),
        (
            "entity_relations",
            {
                "text": "a b",
                "entities": [{"start": 0, "end": 1, "label": "X"}],
                "relations": [{"head": 0, "tail": 0, "label": "x"}],
            },
            "relates an entity to itself",
        ),
        (
            "relation",
            {
                "text": "ab",
                "entities": [{"id": "T1", "start": 0, "end": 1}],
                "relations": [{"head": "T1", "tail": "T2", "label": "x"}],
            },
            'has no entity "T2"',
        ),
        (
            "relation",
            {
                "text": "ab",
                "entities": [{"id": "T1", "start": 0, "end": 1}],
                "relations": [{"head": "T1", "tail": "T1", "label": "x"}],
            },
            "relates an entity to itself",
        ),
    ],
)
def test_a_row_that_is_wrong(hone, tiny_model, tmp_path, task, row, message):
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    config = write_config(tmp_path, tiny_model, task, tmp_path / "rows.jsonl", "jsonl")
    assert message in hone("check", config, code=3).stderr

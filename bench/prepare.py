"""Models and rows that both programs of the speed benchmark are given (run with .venv-peers/bin/python).

    python bench/prepare.py FOLDER SHAPE-SET …

FOLDER/models/SHAPE-SET{,-nodropout}: a Hugging Face folder with the head's weights too, so that both programs begin with equal weights;
the second is the same with dropout 0, for comparing results. FOLDER/rows/SET.jsonl: a sample of the set's rows.
Shapes: minilm (the real weights; for Chinese its shape with random ones) and e5 (multilingual-e5-small's real weights, and its word pieces);
smollm2 (SmolLM2-135M-Instruct's real weights); base (BERT-base's), deberta (DeBERTa-v3-small's) and modernbert (ModernBERT-base's) with random weights and BERT's word pieces.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import sets

# max_length: longer texts are cut. fixed-N: real text laid end to end so that every sample has exactly N tokens.
SETS = {
    "sst2": {"task": "classify", "max_length": 128},
    "conll2003": {"task": "ner", "max_length": 128},
    "banking77": {"task": "classify", "max_length": 128},
    "chnsenticorp": {"task": "classify", "max_length": 512},
    "xquad": {"task": "qa", "max_length": 384},
    "cmrc2018": {"task": "qa", "max_length": 384},
    "fixed128": {"task": "classify", "max_length": 128},
    "fixed32": {"task": "classify", "max_length": 32},
}
CHINESE = ("chnsenticorp", "cmrc2018")
ROWS = 1600  # 50 batches of 32: the window in which Trainer groups by length


def read_rows(name):
    if not name.startswith("fixed"):
        return sets.rows(name, "train")
    text = " ".join(row["text"] for row in sets.rows("sst2", "train")).split(" ")
    words = SETS[name]["max_length"]  # as many words as tokens: never too few
    return [
        {
            "text": " ".join(text[i * words % len(text) :][:words]),
            "label": "even" if i % 2 == 0 else "odd",
        }
        for i in range(min(ROWS, len(text) // words))
    ]


def sample_rows(name):
    rows = read_rows(name)
    if SETS[name]["task"] == "qa":
        return one_window_first(rows, most_letters=400 if name in CHINESE else 1000)
    chosen = random.Random(7).sample(rows, min(ROWS, len(rows)))
    chosen += rows[: (-len(chosen)) % 32]  # a whole number of batches
    return chosen


def one_window_first(rows, most_letters):
    """Results are compared on the first rows, step by step; a step is then as many windows of each program."""
    rows = random.Random(7).sample(rows, min(ROWS // 2, len(rows)) // 32 * 32)
    return sorted(rows, key=lambda row: len(row["context"]) > most_letters)


def labels_of(name):
    """In hone's order: the head's weights stand in the prepared folders, so both programs must mean the same by row i."""
    if SETS[name]["task"] == "qa":
        return []
    rows = read_rows(name)
    if SETS[name]["task"] == "ner":
        types = sorted({tag[2:] for row in rows for tag in row["tags"] if tag != "O"})
        return ["O"] + [f"{part}-{kind}" for kind in types for part in "BI"]
    return sorted({row["label"] for row in rows})


MINILM_SIZES = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
# As microsoft/deberta-v3-small says of itself. The word pieces are BERT's, of which the table has more rows than needed.
DEBERTA_SIZES = {
    "vocab_size": 128100,
    "hidden_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "relative_attention": True,
    "position_buckets": 256,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "type_vocab_size": 0,
}


# ModernBERT-base's are what its configuration has by itself; the ids are those of BERT's word pieces.
MODERNBERT_SIZES = {
    "pad_token_id": 0,
    "cls_token_id": 101,
    "bos_token_id": 101,
    "sep_token_id": 102,
    "eos_token_id": 102,
}
SIZES = {
    "minilm": MINILM_SIZES,
    "base": {},
    "deberta": DEBERTA_SIZES,
    "modernbert": MODERNBERT_SIZES,
}
STEMS = {"deberta": "DebertaV2", "modernbert": "ModernBert", "smollm2": "Llama"}


def model_classes(shape):
    """The configuration, and the models of each task."""
    import transformers

    parts = {
        "classify": "ForSequenceClassification",
        "ner": "ForTokenClassification",
        "qa": "ForQuestionAnswering",
    }
    of = lambda part: getattr(transformers, STEMS.get(shape, "Bert") + part)
    return of("Config"), {task: of(part) for task, part in parts.items()}


def trained_folder(root, shape, is_chinese):
    """Where the shape's real weights are; None where random ones take their place."""
    if shape == "minilm" and not is_chinese:
        return sets.MINILM
    scripts = {"e5": "make_multilingual_e5_small.py", "smollm2": "make_smollm2_135m_instruct.py"}
    if shape not in scripts:
        return None
    folder = root / "models" / f"{shape}-trained"
    if not (folder / "model.safetensors").exists():
        subprocess.run(
            [sys.executable, sets.SHARED / "weights" / scripts[shape], folder], check=True
        )
    return folder


def save_tokenizer(shape, is_chinese, trained, folder):
    from transformers import AutoTokenizer, BertTokenizerFast

    if shape in ("e5", "smollm2"):
        AutoTokenizer.from_pretrained(trained).save_pretrained(folder)
        return
    vocabulary = (
        sets.SHARED / "tokenizers/bert-base-chinese/vocab.txt"
        if is_chinese
        else sets.MINILM / "vocab.txt"
    )
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    shutil.copy(vocabulary, folder / "vocab.txt")


def make_model(root, shape, name, folder):
    import torch

    torch.manual_seed(0)
    labels = labels_of(name)
    is_chinese = name in CHINESE
    named = (
        {}
        if not labels
        else {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)},
        }
    )
    config, kinds = model_classes(shape)
    kind = kinds[SETS[name]["task"]]
    trained = trained_folder(root, shape, is_chinese)
    if trained:
        model = kind.from_pretrained(trained, **named).float()
    else:
        sizes = {"vocab_size": 21128 if is_chinese else 30522} | SIZES[shape]
        model = kind(config(**sizes, **named))
    model.save_pretrained(folder)
    save_tokenizer(shape, is_chinese, trained, folder)


def without_dropout(folder):
    """The same files by hard link, but for the configuration."""
    other = folder.with_name(folder.name + "-nodropout")
    other.mkdir(exist_ok=True)
    for path in folder.iterdir():
        target = other / path.name
        target.unlink(missing_ok=True)
        if path.name == "config.json":
            config = json.loads(path.read_text())
            config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
            target.write_text(json.dumps(config, indent=2))
        else:
            os.link(path, target)


def prepare(root, cell):
    """Idempotent: what stands is kept."""
    shape, name = cell.split("-")
    (root / "rows").mkdir(parents=True, exist_ok=True)
    path, labels = root / "rows" / f"{name}.jsonl", root / "rows" / f"{name}.labels.json"
    if not path.exists() or not labels.exists():
        path.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in sample_rows(name)),
            encoding="utf-8",
        )
        labels.write_text(json.dumps(labels_of(name)))
    folder = root / "models" / cell
    if not (folder / "done").exists():
        make_model(root, shape, name, folder)
        without_dropout(folder)
        (folder / "done").touch()


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        prepare(pathlib.Path(sys.argv[1]), wanted)

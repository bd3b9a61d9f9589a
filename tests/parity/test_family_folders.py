"""Every family from a folder as it is published, its own tokenizer beside its weights: hone trains it, Transformers opens what
is saved and says of texts what `hone predict` says, tokens included."""

import json
import sys

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from test_models import ROOT  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/e2e"))
from conftest import hone  # noqa: E402, F401

TEXTS = [
    json.loads(line)["text"]
    for line in (ROOT / "examples/classify/train.jsonl").read_text(encoding="utf-8").splitlines()
]
ODD = ["Ünïcödé ﬁne №5", "it's 1,234 <b>", "退款", "a\u0301b \u200b c", "x"]
SIZES = dict(
    intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=130
)


def trained(kind):
    """A tokenizer of this class on the shipped texts."""
    return getattr(transformers, kind)().train_new_from_iterator(TEXTS, 500)


def mpnet_tokenizer():
    """With the id of <pad> that MPNet's positions count on, whatever its configuration says."""
    vocabulary = trained("MPNetTokenizer").get_vocab()
    there = next(token for token, i in vocabulary.items() if i == 1)
    vocabulary[there], vocabulary["<pad>"] = vocabulary["<pad>"], 1
    return transformers.MPNetTokenizer(vocab=vocabulary)


def modernbert_tokenizer():
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS, BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special))
    )


# What a checkpoint of the family is made of: the stem of its classes, its tokenizer, its own options.
FOLDERS = {
    "albert": ("Albert", "AlbertTokenizer", dict(embedding_size=16, type_vocab_size=2)),
    "camembert": ("Camembert", "CamembertTokenizer", dict(type_vocab_size=1)),
    "deberta": (
        "Deberta",
        "DebertaTokenizer",
        dict(relative_attention=True, pos_att_type="c2p|p2c", position_biased_input=False),
    ),
    "deberta-v3": (
        "DebertaV2",
        "DebertaV2Tokenizer",
        dict(
            relative_attention=True,
            pos_att_type="p2c|c2p",
            position_biased_input=False,
            position_buckets=16,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            type_vocab_size=0,
        ),
    ),
    "ernie": ("Ernie", "BertTokenizer", dict(use_task_id=True)),
    "modernbert": ("ModernBert", modernbert_tokenizer, dict(local_attention=16)),
    "mpnet": ("MPNet", mpnet_tokenizer, {}),
    "roberta": ("Roberta", "RobertaTokenizer", dict(type_vocab_size=1)),
    "xlm-roberta": ("XLMRoberta", "XLMRobertaTokenizer", dict(type_vocab_size=1)),
}


def publish(name, folder):
    stem, tokenizer, options = FOLDERS[name]
    tokenizer = tokenizer() if callable(tokenizer) else trained(tokenizer)
    named = {
        f"{part}_token_id": getattr(tokenizer, f"{part}_token_id")
        for part in ("pad", "cls", "sep", "bos", "eos")
    }
    config = getattr(transformers, stem + "Config")(
        vocab_size=len(tokenizer), hidden_size=32, **named, **SIZES, **options
    )
    torch.manual_seed(0)
    getattr(transformers, stem + "Model")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def probabilities(folder, text):
    """By label, as Transformers has them."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        scores = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1).tolist()
    return {model.config.id2label[i]: score for i, score in enumerate(scores)}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_published_folder_is_trained_and_opened_again(hone, name, tmp_path):  # noqa: F811
    publish(name, tmp_path / "published")
    hone(
        "train",
        "examples/classify/config.yaml",
        f"model.path={tmp_path / 'published'}",
        f"output.dir={tmp_path / 'run'}",
        "train.max_steps=12",
        "train.precision=fp32",
        "train.learning_rate=1e-2",  # far from where all answers are alike
    )
    texts = TEXTS[:4] + ODD
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    model = tmp_path / "run/model"
    peer = transformers.AutoTokenizer.from_pretrained(model)
    blanks = ["", "  two  blanks ", " a\nb\tc "]  # which cleaning would take before a prediction
    lines = "".join(json.dumps(text) + "\n" for text in texts + blanks).encode()
    for text, row in zip(texts + blanks, hone("tokenize", model, "--jsonl", stdin=lines).rows):
        assert row["ids"] == peer(text)["input_ids"], text
    answers = hone("predict", model, "--precision", "fp32", stdin=rows).rows
    for text, answer in zip(texts, answers, strict=True):
        theirs = probabilities(model, text)
        assert answer["label"] == max(theirs, key=theirs.get)
        for label, score in answer["scores"].items():
            assert score == pytest.approx(theirs[label], abs=2e-6), (text, label)

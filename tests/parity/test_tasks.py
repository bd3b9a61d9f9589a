"""Tasks against Transformers: encoding, logits, loss and every gradient; a saved folder loads there with equal logits.

Run with .venv-peers/bin/python -m pytest tests/parity/test_tasks.py. HONE_BUILD names the build folder (default build/release).
"""

import inspect
import json
import os
import pathlib
import random
import re
import string
import subprocess

import pytest
import torch
import transformers
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = ROOT / os.environ.get("HONE_BUILD", "build/release") / "task_probe"
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
MINILM = ROOT / "models/all-MiniLM-L6-v2"
TOLERANCE = 1e-5  # norm of the difference, relative to the tensor's norm
ROUNDING = 1e-9  # of the norm of all gradients, in fp64

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")
transformers.logging.set_verbosity_error()


def ask(**request):
    done = subprocess.run([PROBE], input=json.dumps(request) + "\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- models

SMALL = dict(
    num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, max_position_embeddings=70
)
FAMILIES = {
    "bert": lambda v: transformers.BertModel(
        transformers.BertConfig(vocab_size=v, hidden_size=32, **SMALL)
    ),
    "roberta": lambda v: transformers.RobertaModel(
        transformers.RobertaConfig(vocab_size=v, hidden_size=32, type_vocab_size=1, **SMALL),
        add_pooling_layer=False,
    ),
    "xlm-roberta": lambda v: transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(vocab_size=v, hidden_size=32, type_vocab_size=1, **SMALL),
        add_pooling_layer=False,
    ),
    "camembert": lambda v: transformers.CamembertModel(
        transformers.CamembertConfig(vocab_size=v, hidden_size=32, type_vocab_size=1, **SMALL),
        add_pooling_layer=False,
    ),
    "ernie": lambda v: transformers.ErnieModel(
        transformers.ErnieConfig(vocab_size=v, hidden_size=32, use_task_id=True, **SMALL)
    ),
    "distilbert": lambda v: transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=v, dim=32, hidden_dim=40, n_layers=2, n_heads=4, max_position_embeddings=70
        )
    ),
    "albert": lambda v: transformers.AlbertModel(
        transformers.AlbertConfig(vocab_size=v, hidden_size=32, embedding_size=24, **SMALL)
    ),
    "mpnet": lambda v: transformers.MPNetModel(
        transformers.MPNetConfig(vocab_size=v, hidden_size=32, **SMALL),
        add_pooling_layer=False,
    ),
    "modernbert": lambda v: transformers.ModernBertModel(
        transformers.ModernBertConfig(
            vocab_size=v, hidden_size=32, local_attention=8, pad_token_id=0, **SMALL
        )
    ),
    "modernbert_mean": lambda v: transformers.ModernBertModel(
        transformers.ModernBertConfig(
            vocab_size=v,
            hidden_size=32,
            local_attention=8,
            classifier_pooling="mean",
            classifier_bias=True,
            norm_bias=True,
            pad_token_id=0,
            **SMALL,
        )
    ),
    "deberta": lambda v: transformers.DebertaModel(
        transformers.DebertaConfig(
            vocab_size=v,
            hidden_size=32,
            relative_attention=True,
            pos_att_type="c2p|p2c",
            position_biased_input=False,
            **SMALL,
        )
    ),
    "deberta_v2": lambda v: transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            vocab_size=v,
            hidden_size=32,
            embedding_size=24,
            relative_attention=True,
            pos_att_type="c2p|p2c",
            type_vocab_size=2,
            conv_kernel_size=3,
            pooler_hidden_act="tanh",
            **SMALL,
        )
    ),
    "deberta_v3": lambda v: transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            vocab_size=v,
            hidden_size=32,
            relative_attention=True,
            pos_att_type="p2c|c2p",
            position_buckets=16,
            position_biased_input=False,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            **SMALL,
        )
    ),
    "electra": lambda v: transformers.ElectraModel(
        transformers.ElectraConfig(vocab_size=v, hidden_size=32, embedding_size=24, **SMALL)
    ),
}


def write_random_model(family, folder):
    """Weights of every kind away from their initial values; letters as vocabulary, so that no text has an unknown token."""
    letters = string.ascii_lowercase + string.punctuation + string.digits
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *("##" + c for c in letters),
    ]
    torch.manual_seed(11)
    model = FAMILIES[family](len(vocabulary))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
        )
    )
    return folder


@pytest.fixture(scope="module", params=["minilm", *FAMILIES])
def model(request, tmp_path_factory):
    if request.param == "minilm":
        if not MINILM.exists():
            pytest.skip(f"{MINILM} is not there; run scripts/setup")
        return MINILM
    return write_random_model(request.param, tmp_path_factory.mktemp(request.param))


# ---- logits, loss, gradients

TEXTS = [
    "a film",
    "my card was lost on tuesday, what now?",
    "why",
    "the plot is thin but the actors are fine; see it for them alone",
    "no",
    "i want 2 new lamps",
]
SENTENCES = [
    (
        ["Ann", "Smith-Jones", "lives", "in", "Paris", "."],
        ["B-PER", "I-PER", "O", "O", "B-LOC", "O"],
    ),
    (["no"], ["O"]),
    (
        ["Acme", "hired", "Bo", "from", "unpronounceable", "Places"],
        ["B-ORG", "O", "B-PER", "O", "B-LOC", "I-LOC"],
    ),
]
UTTERANCES = [
    (["play", "some", "free", "jazz"], ["O", "O", "B-genre", "I-genre"], "Play"),
    (["stop"], ["O"], "Stop"),
    (["Bo", "unpronounceable", "now"], ["B-artist", "I-artist", "O"], "Play"),
]
NESTED = [
    ("the bank of oslo met ann", [(4, 16, "ORG"), (12, 16, "LOC"), (21, 24, "PER")]),
    ("no", []),
    ("ann of rome", [(0, 3, "PER"), (0, 11, "PER"), (7, 11, "LOC"), (7, 11, "ORG")]),
]
RELATED = [
    (
        "ann of acme lives in rome",
        [(0, 3, "PER"), (7, 11, "ORG"), (21, 25, "LOC")],
        [(0, 1, "works_for"), (0, 2, "lives_in")],
    ),
    ("no", [], []),
    ("bank of oslo", [(0, 12, "ORG"), (8, 12, "LOC")], [(0, 1, "based_in")]),
]
RELATIONS = [
    ("<e1>ann</e1> lives in <e2>new york</e2>", "Home(e1,e2)"),
    ("the <e1>lamp</e1> of <e2>bo</e2> is lost", "Owner(e2,e1)"),
    ("we met <e1>al</e1>, not <e2>jo</e2>", "Other"),
]
KINDS = {
    # Not as many of each label: a fresh head says all are alike, and gradients that cancel to nothing would compare rounding.
    "single": ("classify", {}, [{"text": t, "label": "aaabca"[i]} for i, t in enumerate(TEXTS)]),
    "several": (
        "classify",
        {},
        [
            {"text": t, "label": [["x"], [], ["x", "y"], ["z"], ["y"], []][i]}
            for i, t in enumerate(TEXTS)
        ],
    ),
    "number": (
        "classify",
        {"type": "regression"},
        [{"text": t, "label": i * 0.7 - 1} for i, t in enumerate(TEXTS)],
    ),
    "ner": ("ner", {}, [{"tokens": tokens, "tags": tags} for tokens, tags in SENTENCES]),
    "crf": (
        "ner",
        {"crf": True},
        [{"tokens": tokens, "tags": tags} for tokens, tags in SENTENCES],
    ),
    "intent_slots": (
        "intent_slots",
        {"intent_weight": 0.5, "slot_weight": 3.0},
        [{"tokens": tokens, "tags": tags, "intent": i} for tokens, tags, i in UTTERANCES],
    ),
    "nested_ner": (
        "nested_ner",
        {"head_size": 8},
        [
            {"text": t, "entities": [{"start": a, "end": b, "label": c} for a, b, c in entities]}
            for t, entities in NESTED
        ],
    ),
    "entity_relations": (
        "entity_relations",
        {"head_size": 8, "entity_weight": 0.5, "relation_weight": 3.0},
        [
            {
                "text": t,
                "entities": [{"start": a, "end": b, "label": c} for a, b, c in entities],
                "relations": [{"head": a, "tail": b, "label": c} for a, b, c in relations],
            }
            for t, entities, relations in RELATED
        ],
    ),
    "relation": ("relation", {}, [{"text": t, "relation": r} for t, r in RELATIONS]),
    "mlm": ("mlm", {"mlm_probability": 0.4}, [{"text": t} for t in TEXTS]),
    "qa": (
        "qa",
        {},
        [
            {"question": q, "context": c, "answers": a}
            for q, c, a in [
                ("who lives there?", "ann smith lives in paris", ["ann smith"]),
                ("where", "bo works at acme, in rome", ["rome"]),
                ("why?", "the lamp is lost", []),
            ]
        ],
    ),
}


KINDS["choice"] = (
    "choice",
    {},
    [
        {"context": c, "question": q, "choices": choices, "answer": answer}
        for c, q, choices, answer in [
            ("the lamp is dark", "what helps?", ["a bulb", "tea", "a new lamp, or two"], 0),
            ("she is cold", "why?", ["it is hot", "the door is open"], 1),
            ("no", "who?", ["bo", "al", "jo", "ann smith"], 2),
        ]
    ],
)


KINDS["prompt"] = (
    "prompt",
    {"pattern": "{text} it is {mask}.", "words": {"a": ["g", "h"], "b": "x", "c": "z"}},
    KINDS["single"][2],
)


def peer_batch(kind, records, tokenizer, config):
    """As run_classification.py and run_ner.py prepare it, padded."""
    if kind == "ner":
        batch = tokenizer(
            [r["tokens"] for r in records],
            is_split_into_words=True,
            padding=True,
            return_tensors="pt",
        )
        labels = torch.full(batch["input_ids"].shape, -100)
        for i, record in enumerate(records):
            before = None
            for j, word in enumerate(batch.word_ids(i)):
                if word is not None and word != before:
                    labels[i, j] = config.label2id[record["tags"][word]]
                before = word
        return batch, labels
    batch = tokenizer([r["text"] for r in records], padding=True, return_tensors="pt")
    if kind == "single":
        return batch, torch.tensor([config.label2id[r["label"]] for r in records])
    if kind == "several":
        return batch, torch.tensor(
            [
                [float(config.id2label[i] in r["label"]) for i in range(len(config.id2label))]
                for r in records
            ]
        )
    return batch, torch.tensor([r["label"] for r in records])


LOADERS = {
    "mlm": transformers.AutoModelForMaskedLM,
    "ner": transformers.AutoModelForTokenClassification,
    "qa": transformers.AutoModelForQuestionAnswering,
    "choice": transformers.AutoModelForMultipleChoice,
    "prompt": transformers.AutoModelForMaskedLM,
}


def attention_of(folder):
    # ModernBERT's plain attention takes its softmax in fp32, where the mask of fp64 overflows: tokens of padding
    # without a neighbour become NaN.
    return "sdpa" if "modernbert" in (folder / "config.json").read_text() else "eager"


class PairModel(torch.nn.Module):
    """An encoder, and one layer on the states of both entities' first marks (Baldini Soares et al. 2019)."""

    def __init__(self, folder):
        super().__init__()
        encoder = transformers.AutoModel.from_pretrained(
            folder, attn_implementation=attention_of(folder)
        )
        weights = load_file(folder / "model.safetensors")
        self.add_module(encoder.base_model_prefix, encoder)
        self.encoder_forward = encoder.forward
        self.classifier = torch.nn.Linear(*reversed(weights["classifier.weight"].shape))
        self.classifier.load_state_dict({k: weights["classifier." + k] for k in ("weight", "bias")})
        self.labels = encoder.config.label2id

    def forward(self, folder, records):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        accepted = inspect.signature(self.encoder_forward).parameters
        logits = []
        for record in records:
            text = re.sub("</?e1>", " @ ", record["text"])
            batch = tokenizer(re.sub("</?e2>", " # ", text), return_tensors="pt")
            tokens = tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
            inputs = {k: v for k, v in batch.items() if k in accepted}
            states = self.encoder_forward(**inputs).last_hidden_state[0]
            logits.append(
                self.classifier(torch.cat([states[tokens.index("@")], states[tokens.index("#")]]))
            )
        labels = torch.tensor([self.labels[record["relation"]] for record in records])
        return torch.nn.functional.cross_entropy(torch.stack(logits), labels), torch.stack(logits)


class HeadedEncoder(torch.nn.Module):
    """An encoder with layers of its own, and what a task makes of each record; the loss is a mean over what `count` says."""

    def __init__(self, folder, layers):
        super().__init__()
        encoder = transformers.AutoModel.from_pretrained(
            folder, attn_implementation=attention_of(folder)
        )
        weights = load_file(folder / "model.safetensors")
        self.prefix = encoder.base_model_prefix
        self.add_module(self.prefix, encoder)
        self.encode = encoder.forward
        self.config = encoder.config
        self.pools = any("pooler" in name for name in weights)
        for layer in layers:
            linear = torch.nn.Linear(*reversed(weights[layer + ".weight"].shape))
            linear.load_state_dict({k: weights[f"{layer}.{k}"] for k in ("weight", "bias")})
            at = self
            *path, name = layer.split(".")
            for part in path:
                if not hasattr(at, part):
                    at.add_module(part, torch.nn.Module())
                at = getattr(at, part)
            at.add_module(name, linear)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def run(self, texts, **options):
        batch = self.tokenizer(texts, return_tensors="pt", **options)
        accepted = inspect.signature(self.encode).parameters
        if self.prefix == "roberta":  # its own tokenizers have zeros
            batch["token_type_ids"].zero_()
        return batch, self.encode(**{k: v for k, v in batch.items() if k in accepted})


def first_pieces(batch):
    words = batch.word_ids(0)
    return [
        i for i, word in enumerate(words) if word is not None and (i == 0 or words[i - 1] != word)
    ]


class CrfModel:
    """Transformers' own tagger, and chains of tags by the forward algorithm on logarithms (Lample et al. 2016)."""

    def __init__(self, folder):
        self.peer = transformers.AutoModelForTokenClassification.from_pretrained(
            folder, attn_implementation=attention_of(folder)
        )
        self.config = self.peer.config
        self.peer.crf = torch.nn.Module()
        for name, weight in load_file(folder / "model.safetensors").items():
            if name.startswith("crf."):
                self.peer.crf.register_parameter(name[4:], torch.nn.Parameter(weight))
        self.crf, self.named_parameters = self.peer.crf, self.peer.named_parameters
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def eval(self):
        self.peer.eval()
        return self

    def to(self, dtype):
        self.peer.to(dtype)
        return self

    def table(self):
        names = [self.config.id2label[i] for i in range(len(self.config.id2label))]
        table = torch.cat(
            [
                self.crf.transitions,
                self.crf.start_transitions[None],
                self.crf.end_transitions[None],
            ]
        )
        forbidden = torch.zeros_like(table, dtype=torch.bool)
        for i, before in enumerate([*names, "O"]):
            for j, tag in enumerate(names):
                forbidden[i, j] = tag[0] == "I" and before not in ("B" + tag[1:], tag)
        return table.masked_fill(forbidden, -10000)

    def loss_of(self, x, tags, table):
        rows = len(table) - 2
        alpha = table[rows] + x[0]
        score = table[rows, tags[0]] + x[0, tags[0]]
        for t in range(1, len(tags)):
            alpha = torch.logsumexp(alpha[:, None] + table[:rows], 0) + x[t]
            score = score + table[tags[t - 1], tags[t]] + x[t, tags[t]]
        return torch.logsumexp(alpha + table[rows + 1], 0) - score - table[rows + 1, tags[-1]]

    def __call__(self, records):
        table, logits, loss, count = self.table(), [], 0, 0
        accepted = inspect.signature(self.peer.forward).parameters
        for record in records:
            batch = self.tokenizer(record["tokens"], is_split_into_words=True, return_tensors="pt")
            if self.peer.base_model_prefix == "roberta":  # its own tokenizers have zeros
                batch["token_type_ids"].zero_()
            logits.append(self.peer(**{k: v for k, v in batch.items() if k in accepted}).logits[0])
            tags = [self.config.label2id[tag] for tag in record["tags"]]
            loss = loss + self.loss_of(logits[-1][first_pieces(batch)], tags, table)
            count += len(tags)
        return loss / count, [torch.cat(logits), table]


class IntentSlotModel(HeadedEncoder):
    """As Chen et al. 2019; each sample's tags by their mean."""

    def __init__(self, folder):
        super().__init__(folder, ["intent_classifier", "slot_classifier"])

    def forward(self, records):
        intents, slots, loss = [], [], 0
        for record in records:
            batch, output = self.run(record["tokens"], is_split_into_words=True)
            states = output.last_hidden_state[0]
            slots.append(self.slot_classifier(states))
            intents.append(
                self.intent_classifier(output.pooler_output[0] if self.pools else states[0])
            )
            intent = torch.tensor(self.config.intents.index(record["intent"]))
            tags = torch.tensor([self.config.label2id[tag] for tag in record["tags"]])
            cross_entropy = torch.nn.functional.cross_entropy
            loss = loss + 0.5 * cross_entropy(intents[-1], intent)
            loss = loss + 3 * cross_entropy(slots[-1][first_pieces(batch)], tags)
        return loss / len(records), [torch.stack(intents), torch.cat(slots)]


class PointerModel(HeadedEncoder):
    """An efficient global pointer (Su et al. 2022), span by span."""

    def __init__(self, folder):
        super().__init__(folder, ["entities.p_dense", "entities.q_dense"])

    def turned(self, x):
        """Rotary positions; column c pairs with column c + half."""
        half = x.shape[1] // 2
        frequencies = 10000 ** (-torch.arange(half, dtype=x.dtype) / half)
        angles = torch.arange(len(x), dtype=x.dtype)[:, None] * frequencies.float().to(x.dtype)
        a, b = x[:, :half], x[:, half:]
        cosine, sine = angles.float().cos().to(x.dtype), angles.float().sin().to(x.dtype)
        return torch.cat([a * cosine - b * sine, b * cosine + a * sine], 1)

    def outputs(self, states, pointer):
        x = pointer.p_dense(states)
        size = x.shape[1] // 2
        q, k = self.turned(x[:, :size]), self.turned(x[:, size:])
        return torch.cat([q / size**0.5, k, pointer.q_dense(x) / 2], 1)

    def loss_of(self, x, gold, types, any_order=False):
        size = (x.shape[1] - 2 * types) // 2
        loss = 0
        for kind in range(types):
            zero = x.new_zeros(())
            inside, outside = [zero], [zero]
            for i in range(len(x)):
                for j in range(0 if any_order else i, len(x)):
                    score = x[i, :size] @ x[j, size : 2 * size]
                    score = score + x[i, 2 * size + kind] + x[j, 2 * size + types + kind]
                    if (i, j, kind) in gold:
                        inside.append(-score)
                    else:
                        outside.append(score)
            loss = loss + torch.stack(inside).logsumexp(0) + torch.stack(outside).logsumexp(0)
        return loss

    def read(self, record):
        """States of all tokens, which of them are the text's, and the spans of its entities."""
        batch, output = self.run(record["text"], return_offsets_mapping=True)
        pieces = [i for i, word in enumerate(batch.word_ids(0)) if word is not None]
        offsets = batch["offset_mapping"][0][pieces].tolist()
        spans = []
        for e in record["entities"]:
            touched = [i for i, (a, b) in enumerate(offsets) if a < e["end"] and b > e["start"]]
            spans.append((touched[0], touched[-1], self.config.label2id[e["label"]]))
        return output.last_hidden_state[0], pieces, spans

    def forward(self, records):
        logits, loss, types = [], 0, len(self.config.id2label)
        for record in records:
            states, pieces, spans = self.read(record)
            logits.append(self.outputs(states, self.entities))
            loss = loss + self.loss_of(logits[-1][pieces], spans, types)
        return loss / len(records) / types, [torch.cat(logits)]


class LinkModel(PointerModel):
    """Pointers for entities, for the first and for the last tokens of their relations (Su 2022)."""

    def __init__(self, folder):
        HeadedEncoder.__init__(
            self,
            folder,
            [
                f"{name}.{layer}"
                for name in ("entities", "relation_heads", "relation_tails")
                for layer in ("p_dense", "q_dense")
            ],
        )

    def forward(self, records):
        types, labels = len(self.config.id2label), self.config.relations
        pointers = (self.entities, self.relation_heads, self.relation_tails)
        logits, loss = ([], [], []), 0
        for record in records:
            states, pieces, spans = self.read(record)
            for part, pointer in zip(logits, pointers):
                part.append(self.outputs(states, pointer))
            loss = loss + 0.5 * self.loss_of(logits[0][-1][pieces], spans, types) / types
            for part, end in ((logits[1], 0), (logits[2], 1)):
                pairs = [
                    (spans[r["head"]][end], spans[r["tail"]][end], labels.index(r["label"]))
                    for r in record["relations"]
                ]
                related = self.loss_of(part[-1][pieces], pairs, len(labels), any_order=True)
                loss = loss + 3 * related / len(labels) / 2
        return loss / len(records), [torch.cat(part) for part in logits]


OWN_MODELS = {
    "crf": CrfModel,
    "intent_slots": IntentSlotModel,
    "nested_ner": PointerModel,
    "entity_relations": LinkModel,
}


def load_peer(kind, folder):
    loader = LOADERS.get(kind, transformers.AutoModelForSequenceClassification)
    peer, info = loader.from_pretrained(
        folder,
        output_loading_info=True,
        attn_implementation=attention_of(folder),
    )
    assert (
        not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    ), info
    return peer.eval()


def answer_places(record, batch):
    """First and last token of the answer, as run_qa.py finds them; the first token of all where there is none."""
    if not record["answers"]:
        return 0, 0
    begin = record["context"].index(record["answers"][0])
    end = begin + len(record["answers"][0])
    touched = [
        i
        for i, ((a, b), text) in enumerate(zip(batch["offset_mapping"][0], batch.sequence_ids()))
        if text == 1 and a < end and b > begin
    ]
    return touched[0], touched[-1]


def run_question_answering(peer, folder, records):
    """Each question by itself: the peer's softmax sees padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    accepted = inspect.signature(peer.forward).parameters
    logits, loss = [], 0
    for record in records:
        batch = tokenizer(
            record["question"],
            record["context"],
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        start, end = answer_places(record, batch)
        if peer.base_model_prefix == "roberta":  # its own tokenizers have zeros
            batch["token_type_ids"].zero_()
        output = peer(
            **{k: v for k, v in batch.items() if k in accepted},
            start_positions=torch.tensor([start]),
            end_positions=torch.tensor([end]),
        )
        loss = loss + output.loss / len(records)
        logits.append(torch.stack([output.start_logits[0], output.end_logits[0]], dim=1))
    return loss, torch.cat(logits)


def run_multiple_choice(peer, folder, records):
    """Each record by itself: the peer takes as many choices of all records of a batch."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    accepted = inspect.signature(peer.forward).parameters
    logits, loss = [], 0
    for record in records:
        seconds = [f"{record['question']} {choice}" for choice in record["choices"]]
        batch = tokenizer(
            [record["context"]] * len(seconds), seconds, padding=True, return_tensors="pt"
        )
        if peer.base_model_prefix == "roberta":  # its own tokenizers have zeros
            batch["token_type_ids"].zero_()
        inputs = {k: v.unsqueeze(0) for k, v in batch.items() if k in accepted}
        output = peer(**inputs, labels=torch.tensor([record["answer"]]))
        loss = loss + output.loss / len(records)
        logits.append(output.logits[0].unsqueeze(1))
    return loss, torch.cat(logits)


def run_prompt(peer, folder, records):
    """Logits of the words at the mask; of several words of a label their mean."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    accepted = inspect.signature(peer.forward).parameters
    pattern, words = KINDS["prompt"][1]["pattern"], KINDS["prompt"][1]["words"]
    texts = [pattern.format(text=r["text"], mask=tokenizer.mask_token) for r in records]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    at_mask = batch["input_ids"] == tokenizer.mask_token_id
    if peer.base_model_prefix == "roberta":  # its own tokenizers have zeros
        batch["token_type_ids"].zero_()
    logits = peer(**{k: v for k, v in batch.items() if k in accepted}).logits[at_mask]
    ids = [tokenizer.convert_tokens_to_ids(list(words[label])) for label in sorted(words)]
    scores = torch.stack([logits[:, own].mean(1) for own in ids], dim=1)
    labels = torch.tensor([sorted(words).index(r["label"]) for r in records])
    return torch.nn.functional.cross_entropy(scores, labels), scores


def run_masked_language_model(peer, folder, records):
    """On the tokens that hone masked, each text by itself; the mean over all masked ones."""
    given = load_file(folder.parent / "tensors.safetensors")
    ends = given["masked.ends"].tolist()
    targets = torch.full(given["masked.ids"].shape, -100)
    targets[given["masked.rows"]] = given["masked.targets"]
    segments = given["masked.segments"]
    accepted = inspect.signature(peer.forward).parameters
    logits, loss = [], 0
    for begin, end in zip(ends, ends[1:]):
        batch = {"input_ids": given["masked.ids"][begin:end].unsqueeze(0)}
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        batch["token_type_ids"] = segments[begin:end].unsqueeze(0)
        batch = {k: v for k, v in batch.items() if k in accepted}
        logits.append(peer(**batch).logits[0])
        loss = loss + torch.nn.functional.cross_entropy(
            logits[-1], targets[begin:end], reduction="sum"
        )
    return loss / (targets != -100).sum(), torch.cat(logits)


def tensors_of(peer, loss, logits, *more):
    loss.backward()
    others = {f"logits.{i}": output.detach() for i, output in enumerate(more, 1)}
    return loss.item(), {"logits": logits.detach()} | others | {
        "grad." + name: p.grad for name, p in peer.named_parameters() if p.grad is not None
    }


def with_one_name(loss, tensors):
    """A tied weight has two names, of which Transformers lists the one or the other."""
    decoder = tensors.pop("grad.lm_head.decoder.weight", None)
    if decoder is not None:
        tensors["grad.roberta.embeddings.word_embeddings.weight"] = decoder
    return loss, tensors


def run_peer(kind, folder, records, dtype):
    """Loss, logits of the real tokens and every gradient of Transformers on one padded batch."""
    if kind == "relation":
        peer = PairModel(folder).eval().to(dtype)
        loss, logits = peer(folder, records)
        return tensors_of(peer, loss, logits)
    if kind in OWN_MODELS:
        peer = OWN_MODELS[kind](folder).eval().to(dtype)
        loss, logits = peer(records)
        return tensors_of(peer, loss, *logits)
    peer = load_peer(kind, folder).to(dtype)
    if kind == "mlm":
        return with_one_name(*tensors_of(peer, *run_masked_language_model(peer, folder, records)))
    if kind == "qa":
        return tensors_of(peer, *run_question_answering(peer, folder, records))
    if kind == "prompt":
        return with_one_name(*tensors_of(peer, *run_prompt(peer, folder, records)))
    if kind == "choice":
        return tensors_of(peer, *run_multiple_choice(peer, folder, records))
    batch, labels = peer_batch(
        kind, records, transformers.AutoTokenizer.from_pretrained(folder), peer.config
    )
    accepted = inspect.signature(peer.forward).parameters
    output = peer(
        **{k: v for k, v in batch.items() if k in accepted},
        labels=labels.to(dtype) if labels.is_floating_point() else labels,
    )
    output.loss.backward()
    logits = output.logits.detach()
    tensors = {"logits": logits[batch["attention_mask"].bool()] if kind == "ner" else logits}
    return output.loss.item(), tensors | {
        "grad." + name: p.grad for name, p in peer.named_parameters()
    }


def distances(ours, exact):
    """Relative to the norm of the tensor; where that is nothing but rounding (what a softmax does not see: biases of keys, what shifts all tokens of an answer alike), to that of all gradients."""
    ours = {name: t for name, t in ours.items() if not name.startswith("masked.")}
    assert ours.keys() == exact.keys()
    whole = (
        sum(g.norm().item() ** 2 for name, g in exact.items() if name.startswith("grad.")) ** 0.5
    )
    apart = {}
    for name, tensor in exact.items():
        assert ours[name].shape == tensor.shape, name
        norm = tensor.norm().item()
        scale = norm if norm > ROUNDING * whole else whole
        apart[name] = (ours[name].to(tensor.dtype) - tensor).norm().item() / scale
    return apart


def lacks_peer(kind, model):
    config = json.loads((model / "config.json").read_text())
    return kind == "choice" and config["model_type"] == "deberta"


def skip_what_peers_lack(kind, model):
    if lacks_peer(kind, model):
        pytest.skip("Transformers has no DebertaForMultipleChoice")


@pytest.mark.parametrize("kind", KINDS)
def test_logits_loss_and_gradients(model, kind, tmp_path):
    """Against Transformers in fp64, so that only one side rounds; what its own fp32 is off by is printed beside."""
    task, options, records = KINDS[kind]
    skip_what_peers_lack(kind, model)
    answer = ask(
        do="step", model=str(model), task=task, options=options, records=records, out=str(tmp_path)
    )
    loss, exact = run_peer(kind, tmp_path / "model", records, torch.float64)
    ours = distances(load_file(tmp_path / "tensors.safetensors"), exact)
    theirs = distances(run_peer(kind, tmp_path / "model", records, torch.float32)[1], exact)
    worst = max(ours, key=ours.get)
    print(
        f"{len(ours)} tensors, the worst off by {ours[worst]:.1e} ({worst}), Transformers in fp32 there by {theirs[worst]:.1e}"
    )
    # What moves all choices of a record alike changes nothing: some of their gradients nearly cancel, in Transformers too.
    widest = max(TOLERANCE, 2 * max(theirs.values())) if kind == "choice" else TOLERANCE
    assert ours["logits"] < TOLERANCE and all(d < widest for d in ours.values()), worst
    assert answer["loss"] == pytest.approx(loss, rel=TOLERANCE)


def test_label_smoothing(model, tmp_path):
    task, options, records = KINDS["single"]
    answer = ask(
        do="step",
        model=str(model),
        task=task,
        options=options,
        records=records,
        out=str(tmp_path),
        label_smoothing=0.1,
    )
    logits = load_file(tmp_path / "tensors.safetensors")["logits"]
    labels = torch.tensor(["abc".index(record["label"]) for record in records])
    assert answer["loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1).item(), rel=1e-6
    )


def test_config_names_the_labels(model, tmp_path):
    for kind, architecture in (
        ("single", "ForSequenceClassification"),
        ("ner", "ForTokenClassification"),
        ("qa", "ForQuestionAnswering"),
        ("choice", "ForMultipleChoice"),
    ):
        if lacks_peer(kind, model):
            continue
        task, options, records = KINDS[kind]
        ask(
            do="step",
            model=str(model),
            task=task,
            options=options,
            records=records,
            out=str(tmp_path / kind),
        )
        config = json.loads((tmp_path / kind / "model/config.json").read_text())
        assert config["architectures"] == [
            type(load_peer(kind, tmp_path / kind / "model")).__name__
        ]
        assert config["architectures"][0].endswith(architecture)


@pytest.mark.parametrize("kind", ["single", "ner"])
def test_modernberts_head_of_pretraining_goes_on(kind, tmp_path):
    """As Transformers loads a masked language model into a classifier: all but the output layer."""
    task, options, records = KINDS[kind]
    folder = write_random_model("modernbert", tmp_path)
    config = transformers.ModernBertConfig.from_pretrained(folder)
    transformers.ModernBertForMaskedLM(config).save_pretrained(folder)
    pretrained = load_file(folder / "model.safetensors")
    ask(
        do="step",
        model=str(folder),
        task=task,
        options=options,
        records=records,
        out=str(tmp_path / "out"),
    )
    saved = load_file(tmp_path / "out/model/model.safetensors")
    assert set(saved) - set(pretrained) == {"classifier.weight", "classifier.bias"}
    assert set(pretrained) - set(saved) == {"decoder.bias"}
    assert saved["head.dense.weight"].std() > 0 and saved["classifier.weight"].std() > 0
    for name in saved.keys() & pretrained.keys():
        assert torch.equal(saved[name], pretrained[name]), name


# ---- encoding


def minilm():
    if not MINILM.exists():
        pytest.skip(f"{MINILM} is not there; run scripts/setup")
    return MINILM, transformers.AutoTokenizer.from_pretrained(MINILM)


def words(rng, n):
    return " ".join(
        rng.choice(
            ["lamp", "delivered", "unpronounceable", "Zürich", "x", "don't", "漢字", "3.5%", "🙂"]
        )
        for _ in range(n)
    )


@pytest.mark.parametrize("longest", [4, 9, 16, 33])
def test_truncation_of_texts_and_pairs(longest):
    folder, tokenizer = minilm()
    rng = random.Random(longest)
    records = [
        {
            "text": words(rng, rng.randint(0, 14)),
            "other": words(rng, rng.randint(0, 14)),
            "label": "ab"[i % 2],
        }
        for i in range(60)
    ]
    for options, texts in (({}, ["text"]), ({"text_pair": "other"}, ["text", "other"])):
        ours = ask(
            do="encode",
            model=str(folder),
            task="classify",
            options=options,
            longest=longest,
            records=records,
        )
        columns = [
            [record[t] for record in records] for t in texts
        ]  # lists: alone, an empty second text would be taken for none
        theirs, uncut = (
            tokenizer(*columns, truncation="longest_first", max_length=longest),
            tokenizer(*columns),
        )
        assert [sample["ids"] for sample in ours] == theirs["input_ids"]
        assert [sample["segments"] for sample in ours] == theirs["token_type_ids"]
        assert [sample["truncated"] for sample in ours] == [
            len(ids) > longest for ids in uncut["input_ids"]
        ]


def conll_sentences(most):
    path = SHARED / "data/ner/conll2003/eng.testb"
    if not path.exists():
        pytest.skip(f"{path} is not there (HONE_SHARED)")
    sentences, tokens, tags = [], [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        columns = line.split()
        if columns and columns[0] != "-DOCSTART-":
            tokens.append(columns[0])
            tags.append(columns[-1])
        elif tokens:
            sentences.append({"tokens": tokens, "tags": tags})
            tokens, tags = [], []
        if len(sentences) == most:
            break
    return sentences


def iob2(tags):
    return [
        f"B-{t[2:]}"
        if t != "O" and (i == 0 or tags[i - 1] == "O" or tags[i - 1][2:] != t[2:])
        else t
        for i, t in enumerate(tags)
    ]


def test_alignment_of_tags_with_run_ner():
    folder, tokenizer = minilm()
    records = conll_sentences(400) + [
        {
            "tokens": ["a", "\u200b", "unpronounceable", "B"],
            "tags": ["B-PER", "I-PER", "O", "B-LOC"],
        }
    ]
    ours = ask(do="encode", model=str(folder), task="ner", longest=256, records=records)
    types = sorted({t[2:] for r in records for t in r["tags"] if t != "O"})
    label2id = {
        t: i for i, t in enumerate(["O"] + [f"{letter}-{t}" for t in types for letter in "BI"])
    }
    for record, sample in zip(records, ours, strict=True):
        encoding = tokenizer(record["tokens"], is_split_into_words=True)
        tags, labels, before = iob2(record["tags"]), [], None
        for word in encoding.word_ids():
            labels.append(label2id[tags[word]] if word is not None and word != before else -100)
            before = word
        assert sample["ids"] == encoding["input_ids"], record
        assert sample["targets"]["tags"] == labels, record
        assert sample["words"] == [-1 if w is None else w for w in encoding.word_ids()]

"""Transformers' side of bench/results.py: the same rows, hyper-parameters and seeds, written as its own examples have them."""

import collections
import math
import re
import string
import time

import torch
import transformers as t
from transformers.trainer_pt_utils import LengthGroupedSampler


class Samples:
    """Encoded training samples (each a dict of lists), padded a batch at a time."""

    def __init__(self, samples, tokenizer):
        self.samples, self.tokenizer = samples, tokenizer

    def batch(self, indices):
        chosen = [self.samples[i] for i in indices]
        longest = max(len(s["input_ids"]) for s in chosen)
        fill = {"input_ids": self.tokenizer.pad_token_id, "labels": -100}
        out = {}
        for name in chosen[0]:
            if isinstance(chosen[0][name], list) and len(chosen[0][name]) == len(
                chosen[0]["input_ids"]
            ):
                pad = fill.get(name, 0)
                out[name] = torch.tensor(
                    [s[name] + [pad] * (longest - len(s[name])) for s in chosen]
                )
            else:
                out[name] = torch.tensor([s[name] for s in chosen])
        return out


def train(entry, seed, samples, model, loss_of, steps):
    """Seconds of training."""
    settings = entry.settings()
    is_plain = {n: "bias" in n or "LayerNorm" in n for n, _ in model.named_parameters()}
    groups = [
        {
            "params": [p for n, p in model.named_parameters() if is_plain[n] == plain],
            "weight_decay": 0.0 if plain else settings["weight_decay"],
        }
        for plain in (False, True)
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings["learning_rate"], fused=True)
    batch = settings["per_device_train_batch_size"]
    total = steps or math.ceil(entry.epochs * math.ceil(len(samples.samples) / batch))
    schedule = t.get_scheduler("linear", optimizer, int(total * settings["warmup_ratio"]), total)
    generator = torch.Generator().manual_seed(seed)
    lengths = [len(s["input_ids"]) for s in samples.samples]
    started, done = time.time(), 0
    model.train()
    while done < total:
        order = list(LengthGroupedSampler(batch, lengths=lengths, generator=generator))
        for start in range(0, len(order), batch):
            if done == total:
                break
            loss_of(samples.batch(order[start : start + batch])).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_grad_norm"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            done += 1
    return time.time() - started


@torch.no_grad()
def outputs(samples, model, run):
    """run(batch) of each sample, in their order: rows of a tensor or of a tuple of tensors."""
    model.eval()
    order = sorted(range(len(samples.samples)), key=lambda i: len(samples.samples[i]["input_ids"]))
    out = [None] * len(order)
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        result = run(samples.batch(chosen))
        for place, i in enumerate(chosen):
            out[i] = (
                tuple(part[place] for part in result)
                if isinstance(result, tuple)
                else result[place]
            )
    return out


def inputs_of(batch):
    return {
        k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")
    }


# ---------------------------------------------------------------------------------------------------- tasks


def classify(entry, seed, folder, train_rows, test_rows, steps):
    from sklearn.metrics import accuracy_score

    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    labels = sorted({row["label"] for row in train_rows})
    second = entry.task.get("text_pair")

    def encode(rows, has_label):
        for row in rows:
            texts = [row[entry.task["text"]]] + ([row[second]] if second else [])
            encoded = dict(tokenizer(*texts, truncation=True, max_length=entry.length))
            yield {**encoded, "labels": labels.index(row["label"])} if has_label else encoded

    model = t.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))
    samples = Samples(list(encode(train_rows, True)), tokenizer)
    seconds = train(entry, seed, samples, model, lambda batch: model(**batch).loss, steps)
    found = outputs(
        Samples(list(encode(test_rows, False)), tokenizer), model, lambda b: model(**b).logits
    )
    predicted = [labels[int(logits.argmax())] for logits in found]
    assert entry.metric == "accuracy"
    return accuracy_score([row["label"] for row in test_rows], predicted), seconds


def ner(entry, seed, folder, train_rows, test_rows, steps):
    """run_ner.py: the first sub-word of a token carries its tag."""
    from seqeval.metrics import f1_score

    tokenizer = t.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    labels = sorted({tag for row in train_rows for tag in row["tags"]})

    def encode(row):
        encoded = tokenizer(
            row["tokens"], is_split_into_words=True, truncation=True, max_length=entry.length
        )
        return dict(encoded), encoded.word_ids()

    def targets(words, tags):
        previous, out = None, []
        for word in words:
            is_first = word is not None and word != previous
            out.append(labels.index(tags[word]) if is_first else -100)
            previous = word
        return out

    model = t.AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(labels))
    encoded = [(encode(row), row["tags"]) for row in train_rows]
    samples = Samples([{**e, "labels": targets(w, tags)} for (e, w), tags in encoded], tokenizer)
    seconds = train(entry, seed, samples, model, lambda batch: model(**batch).loss, steps)
    tests = [encode(row) for row in test_rows]
    found = outputs(Samples([e for e, _ in tests], tokenizer), model, lambda b: model(**b).logits)
    predicted = []
    for row, (_, words), logits in zip(test_rows, tests, found):
        tags, seen = ["O"] * len(row["tokens"]), set()
        for place, word in enumerate(words):
            if word is not None and word not in seen:
                seen.add(word)
                tags[word] = labels[int(logits[place].argmax())]
        predicted.append(tags)
    return f1_score([row["tags"] for row in test_rows], predicted), seconds


class PairModel(torch.nn.Module):
    """Entity markers with entity start pooling (Baldini Soares et al. 2019): both opening marks' states, one layer."""

    def __init__(self, folder, classes):
        super().__init__()
        self.encoder = t.AutoModel.from_pretrained(folder)
        hidden = self.encoder.config.hidden_size
        self.dropout = torch.nn.Dropout(self.encoder.config.hidden_dropout_prob)
        self.classifier = torch.nn.Linear(2 * hidden, classes)
        torch.nn.init.normal_(self.classifier.weight, std=self.encoder.config.initializer_range)
        torch.nn.init.zeros_(self.classifier.bias)

    def forward(self, batch):
        states = self.encoder(**inputs_of(batch)).last_hidden_state
        rows = torch.arange(len(states))[:, None]
        return self.classifier(self.dropout(states[rows, batch["marks"]].flatten(1)))


def official_macro_f1(gold, predicted):
    """SemEval-2010 task 8: the mean F1 of the relations without Other; a wrong direction is wrong."""
    names = sorted({relation.split("(")[0] for relation in gold} - {"Other"})
    scores = []
    for name in names:
        right = sum(g == p and g.startswith(name + "(") for g, p in zip(gold, predicted))
        had = sum(g.startswith(name + "(") for g in gold)
        said = sum(p.startswith(name + "(") for p in predicted)
        scores.append(2 * right / (had + said) if had + said else 0.0)
    return sum(scores) / len(scores)


def relation(entry, seed, folder, train_rows, test_rows, steps):
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    labels = sorted({row["relation"] for row in train_rows})
    marks = {"<e1>": "@ ", "</e1>": " @", "<e2>": "# ", "</e2>": " #"}

    def encode(row):
        clean, starts = "", []
        for piece in re.split(r"(</?e[12]>)", row["text"]):
            if piece in ("<e1>", "<e2>"):
                starts.append(len(clean))
            clean += marks.get(piece, piece)
        encoded = tokenizer(clean, truncation=True, max_length=entry.length)
        return {**encoded, "marks": [encoded.char_to_token(start) or 0 for start in starts]}

    model = PairModel(folder, len(labels))
    train_samples = [{**encode(row), "target": labels.index(row["relation"])} for row in train_rows]
    seconds = train(
        entry,
        seed,
        Samples(train_samples, tokenizer),
        model,
        lambda batch: torch.nn.functional.cross_entropy(model(batch), batch["target"]),
        steps,
    )
    found = outputs(Samples([encode(row) for row in test_rows], tokenizer), model, model)
    predicted = [labels[int(logits.argmax())] for logits in found]
    return official_macro_f1([row["relation"] for row in test_rows], predicted), seconds


# ---------------------------------------------------------------------------------------------------- questions


def windows(entry, tokenizer, rows, has_targets):
    """run_qa.py's: (sample, row, offsets of the context's tokens) of each window."""
    for index, row in enumerate(rows):
        encoded = tokenizer(
            row["question"],
            row["context"],
            truncation="only_second",
            max_length=entry.length,
            stride=entry.task["stride"],
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for i in range(len(encoded["input_ids"])):
            of_context = [which == 1 for which in encoded.sequence_ids(i)]
            offsets = [
                place if inside else None
                for place, inside in zip(encoded["offset_mapping"][i], of_context)
            ]
            sample = {
                name: encoded[name][i]
                for name in ("input_ids", "attention_mask", "token_type_ids")
                if name in encoded
            }
            if has_targets:
                start, end = answer_tokens(row, offsets)
                sample.update(start_positions=start, end_positions=end)
            yield sample, index, offsets


def answer_tokens(row, offsets):
    """First and last token of the first answer; the first token of all where the window has it not."""
    if not row["answers"]:
        return 0, 0
    answer = row["answers"][0]
    begin, finish = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    inside = [i for i, place in enumerate(offsets) if place]
    if not inside or offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < finish:
        return 0, 0
    starts = [i for i in inside if offsets[i][0] <= begin]
    ends = [i for i in inside if offsets[i][1] >= finish]
    return starts[-1], ends[0]


def best_answer(context, found, longest, n_best=20):
    """postprocess_qa_predictions: the best start and end of all windows."""
    best, text = -math.inf, ""
    for (starts, ends), offsets in found:
        for start in starts.argsort(descending=True)[:n_best].tolist():
            for end in ends.argsort(descending=True)[:n_best].tolist():
                if not offsets[start] or not offsets[end] or not start <= end < start + longest:
                    continue
                score = float(starts[start] + ends[end])
                if score > best:
                    best, text = score, context[offsets[start][0] : offsets[end][1]]
    return text


def cmrc_units(text):
    """cmrc2018_evaluate.py: characters of Chinese, words of the rest, no punctuation."""
    out, word = [], ""
    for c in text.lower().strip():
        is_other = c in string.punctuation or c in "，。：？！“”；’《》……·、「」（）－～『』"
        if is_other or c.isspace() or "\u4e00" <= c <= "\u9fa5":
            if word:
                out.append(word)
            word = ""
            if "\u4e00" <= c <= "\u9fa5":
                out.append(c)
        else:
            word += c
    return out + ([word] if word else [])


def common_run(a, b):
    """Length of the longest common run of units, as CMRC's script counts what two answers share."""
    lengths, best = [0] * (len(b) + 1), 0
    for x in a:
        previous = 0
        for j, y in enumerate(b, 1):
            previous, lengths[j] = lengths[j], previous + 1 if x == y else 0
            best = max(best, lengths[j])
    return best


def cmrc_f1(answers, predicted):
    scores = []
    for answer in answers:
        gold, said = cmrc_units(answer["text"]), cmrc_units(predicted)
        shared = common_run(gold, said)
        scores.append(2 * shared / (len(gold) + len(said)) if shared else 0.0)
    return max(scores)


def with_its_place(row):
    """As hone learns it: an answer that is not where it says is taken from its only place, or left out."""
    for answer in row["answers"][:1]:
        if not row["context"].startswith(answer["text"], answer["answer_start"]):
            if row["context"].count(answer["text"]) != 1:
                return None
            moved = {**answer, "answer_start": row["context"].index(answer["text"])}
            return {**row, "answers": [moved]}
    return row


def qa(entry, seed, folder, train_rows, test_rows, steps):
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    model = t.AutoModelForQuestionAnswering.from_pretrained(folder)
    sound = [row for row in map(with_its_place, train_rows) if row]
    train_samples = [sample for sample, _, _ in windows(entry, tokenizer, sound, True)]
    seconds = train(
        entry,
        seed,
        Samples(train_samples, tokenizer),
        model,
        lambda batch: model(**batch).loss,
        steps,
    )
    tests = list(windows(entry, tokenizer, test_rows, False))

    def places(batch):
        result = model(**batch)
        return result.start_logits, result.end_logits

    found = outputs(Samples([sample for sample, _, _ in tests], tokenizer), model, places)
    of_row = collections.defaultdict(list)
    for (_, index, offsets), result in zip(tests, found):
        of_row[index].append((result, offsets))
    assert entry.task["scoring"] == "cmrc"
    longest = entry.task["max_answer_length"]
    scores = [
        cmrc_f1(row["answers"], best_answer(row["context"], of_row[i], longest))
        for i, row in enumerate(test_rows)
    ]
    return sum(scores) / len(scores), seconds


TASKS = {"classify": classify, "ner": ner, "relation": relation, "qa": qa}


def run(entry, seed, folder, train_rows, test_rows, steps):
    t.set_seed(seed)
    task = TASKS[entry.task["name"]]
    score, seconds = task(entry, seed, str(folder), train_rows, test_rows, steps)
    return {"score": score, "interval": None, "test_rows": len(test_rows), "seconds": seconds}

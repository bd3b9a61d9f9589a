"""Transformers' side of bench/results.py: the same rows, hyper-parameters and seeds, written as its own examples have them."""

import collections
import math
import re
import time

import nltk
import sets
import torch
import transformers as t

CMRC_MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


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


def steps_of(entry, samples, steps):
    batch = entry.settings()["per_device_train_batch_size"]
    return steps or math.ceil(entry.epochs * math.ceil(len(samples.samples) / batch))


def adapted(model, entry, task_type, total):
    """With PEFT's adapter, where the entry has one."""
    if not entry.peer_peft:
        return model
    import peft

    options = {**entry.peer_peft, "task_type": task_type}
    if options["peft_type"] == "ADALORA":
        options["total_step"] = total
    return peft.get_peft_model(model, peft.get_peft_config(options))


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
    batch, total = settings["per_device_train_batch_size"], steps_of(entry, samples, steps)
    warmup = math.ceil(total * settings["warmup_ratio"])  # as Trainer rounds it
    schedule = t.get_scheduler("linear", optimizer, warmup, total)
    generator = torch.Generator().manual_seed(seed)
    started, done = time.time(), 0
    model.train()
    while done < total:
        # Batches by length are faster, and cost Transformers much of its score where steps are few.
        order = torch.randperm(len(samples.samples), generator=generator).tolist()
        for start in range(0, len(order), batch):
            if done == total:
                break
            with torch.autocast("cpu", torch.bfloat16, enabled=sets.PRECISION == "bf16"):
                loss = loss_of(samples.batch(order[start : start + batch]))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_grad_norm"])
            optimizer.step()
            schedule.step()
            done += 1
            if hasattr(getattr(model, "base_model", None), "update_and_allocate"):  # AdaLoRA
                model.base_model.update_and_allocate(done)
            optimizer.zero_grad()
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
    model = adapted(model, entry, "SEQ_CLS", steps_of(entry, samples, steps))
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
    model = adapted(model, entry, "TOKEN_CLS", steps_of(entry, samples, steps))
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
        starts, ends = starts[: len(offsets)], ends[: len(offsets)]  # what follows is padding
        for start in starts.argsort(descending=True)[:n_best].tolist():
            for end in ends.argsort(descending=True)[:n_best].tolist():
                if not offsets[start] or not offsets[end] or not start <= end < start + longest:
                    continue
                score = float(starts[start] + ends[end])
                if score > best:
                    best, text = score, context[offsets[start][0] : offsets[end][1]]
    return text


def cmrc_units(text):
    """cmrc2018_evaluate.py: characters of Chinese, NLTK's words of the rest; some marks do not count."""
    bare = "".join(c for c in text.lower().strip() if c not in CMRC_MARKS)
    units = []
    for i, part in enumerate(re.split("([\u4e00-\u9fa5])", bare)):
        is_chinese = i % 2 == 1
        units += [part] if is_chinese else nltk.word_tokenize(part, preserve_line=True)
    return units


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


# ---------------------------------------------------------------------------------------------------- several heads, several texts


class JointModel(torch.nn.Module):
    """Chen et al. 2019: the pooled first token tells the intent, every token its slot."""

    def __init__(self, folder, intents, tags):
        super().__init__()
        self.encoder = t.AutoModel.from_pretrained(folder)
        config = self.encoder.config
        self.dropout = torch.nn.Dropout(config.hidden_dropout_prob)
        self.intent = torch.nn.Linear(config.hidden_size, intents)
        self.slot = torch.nn.Linear(config.hidden_size, tags)
        for layer in (self.intent, self.slot):
            torch.nn.init.normal_(layer.weight, std=config.initializer_range)
            torch.nn.init.zeros_(layer.bias)

    def forward(self, batch):
        states = self.encoder(**inputs_of(batch))
        return self.intent(self.dropout(states.pooler_output)), self.slot(
            self.dropout(states.last_hidden_state)
        )

    def loss(self, batch):
        """Each utterance counts as much: the mean over its tags."""
        intents, slots = self(batch)
        of_tag = torch.nn.functional.cross_entropy(
            slots.transpose(1, 2), batch["labels"], ignore_index=-100, reduction="none"
        )
        of_slots = of_tag.sum(1) / (batch["labels"] != -100).sum(1)
        return torch.nn.functional.cross_entropy(intents, batch["intent"]) + of_slots.mean()


def intent_slots(entry, seed, folder, train_rows, test_rows, steps):
    from seqeval.metrics.sequence_labeling import get_entities

    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    intents = sorted({row["label"] for row in train_rows})
    labels = sorted({tag for row in train_rows for tag in row["tags"]})

    def encode(row):
        encoded = tokenizer(
            row["tokens"], is_split_into_words=True, truncation=True, max_length=entry.length
        )
        words = encoded.word_ids()
        firsts = [w is not None and w not in words[:i] for i, w in enumerate(words)]
        return dict(encoded), [w if first else None for w, first in zip(words, firsts)]

    def sample(row):
        encoded, words = encode(row)
        tags = [-100 if w is None else labels.index(row["tags"][w]) for w in words]
        return {**encoded, "labels": tags, "intent": intents.index(row["label"])}

    model = JointModel(folder, len(intents), len(labels))
    samples = Samples([sample(row) for row in train_rows], tokenizer)
    seconds = train(entry, seed, samples, model, model.loss, steps)
    tests = [encode(row) for row in test_rows]
    found = outputs(Samples([e for e, _ in tests], tokenizer), model, model)
    right = 0
    for row, (_, words), (intent, slots) in zip(test_rows, tests, found):
        tags = ["O"] * len(row["tokens"])
        for place, word in enumerate(words):
            if word is not None:
                tags[word] = labels[int(slots[place].argmax())]
        is_intent = intents[int(intent.argmax())] == row["label"]
        right += is_intent and get_entities(tags) == get_entities(row["tags"])
    return right / len(test_rows), seconds


class Choices(Samples):
    """Samples that are several texts each, as many in all of them: [batch, choices, tokens]."""

    def __init__(self, samples, tokenizer):
        super().__init__(samples, tokenizer)
        for sample in samples:
            sample["input_ids"] = max((ids for ids in sample["choices"]), key=len)  # for lengths

    def batch(self, indices):
        chosen = [self.samples[i] for i in indices]
        longest = max(len(ids) for s in chosen for ids in s["choices"])
        pad = self.tokenizer.pad_token_id
        ids = [[c + [pad] * (longest - len(c)) for c in s["choices"]] for s in chosen]
        mask = [[[1] * len(c) + [0] * (longest - len(c)) for c in s["choices"]] for s in chosen]
        out = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
        if "labels" in chosen[0]:
            out["labels"] = torch.tensor([s["labels"] for s in chosen])
        return out


def choice(entry, seed, folder, train_rows, test_rows, steps):
    """The choices in the place of the blank, the text cut on both sides of it."""
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    blank = entry.task["blank"]

    def ids_of(text, filling):
        """As much text around the blank as fits."""
        before, after = text.split(blank)
        room = entry.length * 4
        while True:
            encoded = tokenizer(before[-room:] + filling + after[:room])["input_ids"]
            if len(encoded) <= entry.length:
                return encoded
            room = min(room, max(len(before), len(after))) - 4

    def encode(row, has_answer):
        choices = [ids_of(row["content"], filling) for filling in row["candidates"]]
        return {"choices": choices, **({"labels": int(row["answer"])} if has_answer else {})}

    model = t.AutoModelForMultipleChoice.from_pretrained(folder)
    samples = Choices([encode(row, True) for row in train_rows], tokenizer)
    seconds = train(entry, seed, samples, model, lambda batch: model(**batch).loss, steps)
    tests = Choices([encode(row, False) for row in test_rows], tokenizer)
    found = outputs(tests, model, lambda batch: model(**batch).logits)
    right = sum(int(o.argmax()) == int(row["answer"]) for o, row in zip(found, test_rows))
    return right / len(test_rows), seconds


def prompt(entry, seed, folder, train_rows, test_rows, steps):
    """PET: the words of the labels at the mask, cross-entropy over them."""
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    labels = sorted(entry.task["words"])

    def encode(row):
        text = row["text"]
        while True:
            filled = entry.task["pattern"].replace("{text}", text)
            encoded = dict(tokenizer(filled.replace("{mask}", tokenizer.mask_token)))
            if len(encoded["input_ids"]) <= entry.length:
                break
            text = text[:-4]
        encoded["mask"] = encoded["input_ids"].index(tokenizer.mask_token_id)
        return encoded

    def word_id(word):
        """Of a word in its place, behind the pattern's text."""
        filled = entry.task["pattern"].replace("{text}", "x")
        masked = tokenizer(filled.replace("{mask}", tokenizer.mask_token))["input_ids"]
        with_word = tokenizer(filled.replace("{mask}", word))["input_ids"]
        assert len(masked) == len(with_word), f"{word} is no single token"
        return with_word[masked.index(tokenizer.mask_token_id)]

    words = torch.tensor([word_id(entry.task["words"][label]) for label in labels])
    model = t.AutoModelForMaskedLM.from_pretrained(folder)

    def logits(batch):
        """The head at the mask alone: as `model` computes it, without the whole vocabulary at every token."""
        states = model.bert(**inputs_of(batch)).last_hidden_state
        rows = torch.arange(len(batch["mask"]))
        return model.cls(states[rows, batch["mask"]])[:, words]

    train_samples = [{**encode(r), "target": labels.index(r["label"])} for r in train_rows]
    seconds = train(
        entry,
        seed,
        Samples(train_samples, tokenizer),
        model,
        lambda batch: torch.nn.functional.cross_entropy(logits(batch), batch["target"]),
        steps,
    )
    found = outputs(Samples([encode(row) for row in test_rows], tokenizer), model, logits)
    right = sum(labels[int(o.argmax())] == row["label"] for o, row in zip(found, test_rows))
    return right / len(test_rows), seconds


def embedding(entry, seed, folder, train_rows, test_rows, steps):
    """sentence-transformers' own model and loss, in autocast as its trainer has it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    encoder = Transformer(str(folder), max_seq_length=entry.length)
    pooling = Pooling(encoder.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[encoder, pooling], device="cpu")
    loss = MultipleNegativesRankingLoss(model)
    names = (entry.task["anchor"], entry.task["positive"])

    class Pairs(Samples):
        def batch(self, indices):
            rows = [self.samples[i] for i in indices]
            return [model.preprocess([row[name] for row in rows]) for name in names]

    seconds = train(
        entry, seed, Pairs(train_rows, model.tokenizer), model, lambda b: loss(b, None), steps
    )
    found = {}
    for name in names:
        texts = list(dict.fromkeys(row[name] for row in test_rows))
        vectors = model.encode(texts, convert_to_tensor=True, normalize_embeddings=True)
        found[name] = (texts, vectors)
    return ndcg_at_10(found, names, test_rows), seconds


def ndcg_at_10(found, names, rows):
    """Mean over the different anchors; each may have several positives."""
    (anchors, of_anchors), (candidates, of_candidates) = (found[name] for name in names)
    positives = collections.defaultdict(set)
    for row in rows:
        positives[row[names[0]]].add(row[names[1]])
    total = 0.0
    for anchor, scores in zip(anchors, of_anchors @ of_candidates.T):
        best = scores.argsort(descending=True)[:10].tolist()
        gain = sum(
            1 / math.log2(rank + 2)
            for rank, i in enumerate(best)
            if candidates[i] in positives[anchor]
        )
        most = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(positives[anchor]))))
        total += gain / most
    return total / len(anchors)


@torch.no_grad()
def loss_of_answers(samples, model):
    """The mean over the tokens of all answers; outputs behind virtual tokens are the text's."""
    total = count = 0
    model.eval()
    for sample in samples:
        ids, labels = (torch.tensor([sample[name]]) for name in ("input_ids", "labels"))
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        known = labels[0, 1:] != -100
        total += torch.nn.functional.cross_entropy(
            logits[0, -ids.shape[1] : -1][known].float(), labels[0, 1:][known], reduction="sum"
        ).item()
        count += int(known.sum())
    return total / count


def causal_lm(entry, seed, folder, train_rows, test_rows, steps):
    """The last answer of each conversation, as the chat template has it, with the end of its turn."""
    tokenizer = t.AutoTokenizer.from_pretrained(folder)

    def encode(row):
        messages = row["messages"]
        texts = (
            tokenizer.apply_chat_template(
                messages[:-1], tokenize=False, add_generation_prompt=True
            ),
            tokenizer.apply_chat_template(messages, tokenize=False),
        )
        prompt, ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
        assert len(ids) <= entry.length, "a longer one would be cut, and hone cuts it elsewhere"
        labels = [-100] * len(prompt) + ids[len(prompt) :]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}

    model = t.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    samples = Samples([encode(row) for row in train_rows], tokenizer)
    model = adapted(model, entry, "CAUSAL_LM", steps_of(entry, samples, steps))
    seconds = train(entry, seed, samples, model, lambda batch: model(**batch).loss, steps)
    return loss_of_answers([encode(row) for row in test_rows], model), seconds


TASKS = {
    "causal_lm": causal_lm,
    "classify": classify,
    "ner": ner,
    "relation": relation,
    "qa": qa,
    "intent_slots": intent_slots,
    "choice": choice,
    "prompt": prompt,
    "embedding": embedding,
}


def run(entry, seed, folder, train_rows, test_rows, steps):
    t.set_seed(seed)
    task = TASKS[entry.task["name"]]
    score, seconds = task(entry, seed, str(folder), train_rows, test_rows, steps)
    return {
        "score": float(score),
        "interval": None,
        "test_rows": len(test_rows),
        "seconds": seconds,
    }

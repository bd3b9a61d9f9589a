"""bench/tokenizer.cpp as a Python object, the reference tokenizers beside it, and the texts both are given."""

import base64
import csv
import functools
import gzip
import io
import json
import os
import pathlib
import random
import subprocess
import tempfile
import zipfile

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("HONE_SHARED", ROOT.parent / "shared"))
TOKENIZERS = SHARED / "tokenizers"
BERT = {
    "bert-base-uncased": True,
    "bert-base-cased": False,
    "bert-base-chinese": True,
    "bert-base-multilingual-cased": False,
}


def find_program():
    """HONE_TOKENIZER_BENCH, else the newest one built under build/."""
    if "HONE_TOKENIZER_BENCH" in os.environ:
        return pathlib.Path(os.environ["HONE_TOKENIZER_BENCH"])
    built = sorted(ROOT.glob("build/**/tokenizer_bench"), key=lambda path: path.stat().st_mtime)
    return built[-1] if built else None


class Driver:
    def __init__(self):
        self.process = subprocess.Popen(
            [find_program()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.count = 0

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, command, lines=1):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        out = []
        while len(out) < lines:
            answer = json.loads(self.process.stdout.readline())
            if isinstance(answer, dict) and "error" in answer:
                raise RuntimeError(answer["error"])
            out.append(answer)
        return out

    def load(self, path, lower=None):
        return self.ask(f"load {path} {'' if lower is None else str(lower).lower()}")[0]

    def texts(self, texts):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            file.writelines(json.dumps(text) + "\n" for text in texts)
            file.flush()
            self.count = self.ask(f"texts {file.name}")[0]["texts"]
        assert self.count == len(texts)

    def encode(self, plain=False):
        return self.ask("encode" + (" plain" if plain else ""), self.count)

    def words(self):
        return self.ask("words", self.count)

    def decode(self, skip):
        return self.ask("decode" + (" skip" if skip else ""), self.count)


def bert_tokenizer(name, lower=None, strip_accents=None, chinese=True, clean=True):
    """What Transformers' BertTokenizer makes of a vocab.txt."""
    lower = BERT[name] if lower is None else lower
    tokenizer = Tokenizer(
        models.WordPiece.from_file(
            str(TOKENIZERS / name / "vocab.txt"), unk_token="[UNK]", max_input_chars_per_word=100
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=chinese, strip_accents=strip_accents, lowercase=lower
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(
        [
            AddedToken(t, special=True, normalized=False)
            for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        ]
    )
    special = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=special,
    )
    return tokenizer


def gpt2_tokenizer():
    folder = TOKENIZERS / "gpt2"
    tokenizer = Tokenizer(
        models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    return tokenizer


CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
RANKS = {
    "llama3": ("tokenizer.model", CL100K),
    "cl100k_base": ("cl100k_base.tiktoken", CL100K),
    "qwen": ("qwen.tiktoken", CL100K.replace(r"\p{N}{1,3}", r"\p{N}")),
}


def byte_letters():
    """The visible character that stands for each byte."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    out = {byte: chr(byte) for byte in visible}
    out.update({b: chr(0x100 + i) for i, b in enumerate(b for b in range(256) if b not in out)})
    return out


LETTERS = byte_letters()


def read_ranks(name):
    lines = (TOKENIZERS / name / RANKS[name][0]).read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}


def rank_tokenizer(name):
    """As Transformers' TikTokenConverter makes one."""
    ranks = read_ranks(name)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))]
        pairs = [(a, b) for a, b in cuts if a in ranks and b in ranks]
        merges += sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    written = {token: "".join(LETTERS[byte] for byte in token) for token in ranks}
    vocab = {written[token]: rank for token, rank in ranks.items()}
    out = Tokenizer(
        models.BPE(vocab, [(written[a], written[b]) for a, b in merges], ignore_merges=True)
    )
    if name == "qwen":
        out.normalizer = normalizers.NFC()
    out.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(RANKS[name][1]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    out.decoder = decoders.ByteLevel()
    out.post_processor = processors.ByteLevel(trim_offsets=False)
    return out


def write_clip_files(folder):
    """vocab.json and merges.txt of OpenAI's list of merges."""
    lines = gzip.open(TOKENIZERS / "clip/bpe_simple_vocab_16e6.txt.gz").read().decode()
    merges = [tuple(line.split()) for line in lines.split("\n")[1 : 49152 - 256 - 2 + 1]]
    # OpenAI's order: visible bytes first
    order = [LETTERS[b] for b in sorted(LETTERS, key=lambda b: (LETTERS[b] != chr(b), b))]
    tokens = order + [letter + "</w>" for letter in order] + ["".join(merge) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    text = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')


def clip_tokenizer():
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        write_clip_files(pathlib.Path(folder))
        return transformers.AutoTokenizer.from_pretrained(folder).backend_tokenizer


def deberta_tokenizer():
    """DeBERTa-v2's form with split_by_punct, on T5's pieces."""
    tokenizer = Tokenizer.from_file(str(TOKENIZERS / "t5-small/tokenizer.json"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Strip(),
            normalizers.Precompiled(charsmap()),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()]
    )
    return tokenizer


def charsmap():
    """SentencePiece's nmt_nfkc table, which nearly all of its models have."""
    path = TOKENIZERS / "t5-small/tokenizer.json"
    text = json.loads(path.read_text())["normalizer"]["precompiled_charsmap"]
    return base64.b64decode(text)


def xlm_roberta_tokenizer():
    """What Transformers makes of the published pieces."""
    with zipfile.ZipFile(TOKENIZERS / "xlm-roberta-base/pos.dict.utf8.zip") as file:
        lines = file.read(file.namelist()[0]).decode("utf-8").split("\n")
    pieces = [("<s>", 0.0), *((f"<hole {i}>", -99.0) for i in range(1, 250_002))]
    for line in filter(None, lines):
        piece, number, score = line.split("\t")
        pieces[int(number.removeprefix("WORD_ID_"))] = (piece, float(score))
    tokenizer = Tokenizer(models.Unigram(pieces, 3, False))
    tokenizer.normalizer = normalizers.Precompiled(charsmap())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False) for t in ("<s>", "<pad>", "</s>", "<unk>")]
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def byte_offsets(text, offsets):
    """The reference counts code points, hone bytes."""
    if text.isascii():
        return [list(span) for span in offsets]
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode("utf-8")))
    return [[at[start], at[end]] for start, end in offsets]


def lines_of(folder):
    """Every line of the folder's text files, whatever their format."""
    return [line for file in files_of(folder) for line in read_text(file).split("\n")]


def files_of(folder):
    return sorted(path for path in (SHARED / "data" / folder).rglob("*") if path.is_file())


def read_text(file):
    """Nothing of what is no text: sounds, pictures."""
    data = file.read_bytes()
    try:
        return "" if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def sentences_of(name):
    """The words of a CoNLL-like folder's sentences, joined by blanks and, as Chinese has it, by nothing."""
    out, words = [], []
    for line in lines_of(name) + [""]:
        if line.strip():
            words.append(line.split()[0])
        elif words:
            out += [" ".join(words), "".join(words)]
            words = []
    return out


def strings_of(value):
    """All strings in what JSON holds."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in strings_of(part)]


def texts_in(file):
    """Lines; of JSON and CSV also the strings and cells in it."""
    text = read_text(file)
    out = text.split("\n")
    if file.suffix == ".csv":
        out += [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    for document in out[:] if file.suffix == ".jsonl" else [text] * (file.suffix == ".json"):
        try:
            out += strings_of(json.loads(document))
        except ValueError:
            pass  # a line that is none, or a file of such lines
    return out


@functools.cache
def texts_by_set():
    """Of each set of ../shared/data ("ner/conll2003") all its texts, each once, words of CoNLL-like files as sentences too."""
    csv.field_size_limit(1 << 30)
    folders = sorted(path for path in (SHARED / "data").glob("*/*") if path.is_dir())
    out = {}
    for folder in folders:
        name = f"{folder.parent.name}/{folder.name}"
        texts = [text for file in files_of(name) for text in texts_in(file)]
        texts += sentences_of(name) if folder.parent.name == "ner" else []
        out[name] = list(dict.fromkeys(text for text in texts if text))
    return out


@functools.cache
def all_texts():
    """Every text of every set, each once."""
    return list(dict.fromkeys(text for texts in texts_by_set().values() for text in texts))


@functools.cache
def corpus(size):
    """Texts to learn from, the same in every run."""
    return random.Random(2).sample(all_texts(), size)


@functools.cache
def some_texts(of_each=40):
    """Of each set as many at most, evenly spaced; with HONE_ATTACK=1 all there are."""
    if os.environ.get("HONE_ATTACK") == "1":
        return all_texts()
    chosen = (texts[:: -(-len(texts) // of_each)] for texts in texts_by_set().values() if texts)
    return list(dict.fromkeys(text for texts in chosen for text in texts))

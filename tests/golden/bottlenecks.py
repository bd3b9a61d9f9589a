"""Adapters of the `adapters` library on a tiny BERT: double_seq_bn/, seq_bn/ and par_bn/ as it saves them, and the logits of four texts.

    python tests/golden/bottlenecks.py make tests/golden/bottlenecks
    python tests/golden/bottlenecks.py check BASE FOLDER IDS.json

Needs adapters 1.2 and the Transformers that it asks for, in an environment of their own. `make` writes `base` beside them, and logits.json.
`check` loads a folder that another program saved, and prints the logits of each list of ids as JSON.
"""

import json
import pathlib
import sys

import adapters
import torch
import transformers

FORMS = {
    "double_seq_bn": adapters.DoubleSeqBnConfig(reduction_factor=4),
    "seq_bn": adapters.SeqBnConfig(reduction_factor=2),
    "par_bn": adapters.ParBnConfig(reduction_factor=4, leave_out=[0]),
}
TEXTS = [[2, 7, 9, 11, 3], [2, 5, 3], [2, 8, 8, 12, 17, 6, 3], [2, 19, 4, 3]]


def tiny_bert():
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        initializer_range=0.3,
        num_labels=3,
    )
    return transformers.BertForSequenceClassification(config).eval()


def logits_of(model, texts):
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0].tolist() for ids in texts]


def check(base, folder, ids):
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(base, config=config)
    adapters.init(model)
    name = model.load_adapter(folder, use_safetensors=True)
    model.set_active_adapters(name)
    texts = json.loads(pathlib.Path(ids).read_text())
    print(json.dumps(logits_of(model.eval(), texts)))


def make(root):
    tiny_bert().save_pretrained(root / "base")
    logits = {"texts": TEXTS}
    for name, config in FORMS.items():
        model = tiny_bert()
        adapters.init(model)
        model.add_adapter("mine", config=config)
        model.set_active_adapters("mine")
        with torch.no_grad():
            for weight, value in model.named_parameters():
                if ".adapters." in weight or weight.startswith("classifier"):
                    value.copy_(0.3 * torch.randn_like(value))
        logits[name] = logits_of(model, TEXTS)
        model.save_adapter(str(root / name), "mine", use_safetensors=True)
    (root / "logits.json").write_text(json.dumps(logits, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]))
    else:
        check(*sys.argv[2:])

"""Adapters of the `adapters` library on a tiny BERT: bottleneck_{double_seq_bn,seq_bn,par_bn}/ as it saves them, and the logits of four texts.

    python tests/golden/bottlenecks.py FOLDER

Needs adapters 1.2 and the Transformers that it asks for, in an environment of their own. FOLDER gets `base`, a folder for each form, and logits.json.
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


def main():
    root = pathlib.Path(sys.argv[1])
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
            logits[name] = [model(torch.tensor([ids])).logits[0].tolist() for ids in TEXTS]
        model.save_adapter(str(root / f"bottleneck_{name}"), "mine", use_safetensors=True)
    (root / "logits.json").write_text(json.dumps(logits, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""ONNX Runtime as a worker of the speed benchmark: the inference half of peer_step.py with the runtime's own fusions for BERT, in fp32 or int8."""

import json
import pathlib
import sys

import peer_step


def export(folder):
    """FOLDER/model.onnx with fused attention, GELU and LayerNorm; kept once made."""
    target = pathlib.Path(folder) / "model.onnx"
    if target.exists():
        return target
    import torch
    from onnxruntime.transformers import optimizer
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    config = AutoConfig.from_pretrained(folder)
    kind = (
        AutoModelForTokenClassification
        if "Token" in config.architectures[0]
        else AutoModelForSequenceClassification
    )
    model = kind.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()  # the fusions know this form of attention
    names = ["input_ids", "attention_mask"]
    example = tuple(torch.ones((2, 16), dtype=torch.long) for _ in names)
    axes = {name: {0: "samples", 1: "length"} for name in names}
    raw = target.with_suffix(".raw.onnx")
    torch.onnx.export(
        model,
        example,
        str(raw),
        input_names=names,
        output_names=["logits"],
        dynamic_axes=axes,
        dynamo=False,
        opset_version=17,
    )
    fused = optimizer.optimize_model(
        str(raw),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
    )
    print(
        "fused:",
        {k: v for k, v in fused.get_fused_operator_statistics().items() if v},
        file=sys.stderr,
    )
    fused.save_model_to_file(str(target))
    raw.unlink()
    return target


def rounded(path):
    """The same with its products in int8: weights rounded by output, activations as they come."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_suffix(".int8.onnx")
    if not target.exists():
        quantize_dynamic(
            str(path),
            str(target),
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # it cannot infer the type of what a fused node gives
    return target


class OnnxWorker(peer_step.Worker):
    def __init__(self, job):
        import onnxruntime

        super().__init__(job)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.job["threads"] or self.torch.get_num_threads()
        path = export(job["model"])
        path = rounded(path) if self.job["precision"] == "int8" else path
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, inputs):
        feed = {name: inputs[name].numpy() for name in ("input_ids", "attention_mask")}
        return self.torch.from_numpy(self.session.run(None, feed)[0])


if __name__ == "__main__":
    peer_step.serve(OnnxWorker)

"""Another program that writes answers, as a worker of bench/generation.py: Transformers, CTranslate2 or llama.cpp.

    python bench/peer_generate.py '{"program": "transformers", "model": FOLDER, "precision": "fp32", "threads": 2, …}'

The worker makes its form of the model in job["cache"] where it needs one, loads it, then answers one JSON command a line:

    {"do": "prompts", "count": 16, …}            Transformers alone: rows of instructions as ids, by the model's chat template
    {"do": "write", "prompts": [[…]], "tokens": 64}   so many tokens of each prompt, greedy, none ends: {"answers", "seconds"}
    {"do": "memory"}                             peak resident memory of this process in bytes
"""

import json
import pathlib
import resource
import sys
import time


class Transformers:
    """Padded on the left, with a dynamic cache: its own way for batches."""

    def __init__(self, job):
        import torch
        import transformers

        self.torch, self.transformers, self.job = torch, transformers, job
        torch.set_num_threads(job["threads"])
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[job["precision"]]
        self.model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=dtype)
        self.model.eval()
        self.model.generation_config = transformers.GenerationConfig(
            pad_token_id=job["ends"][0], eos_token_id=None
        )

    def prompts(self, rows, count):
        tokenizer = self.transformers.AutoTokenizer.from_pretrained(self.job["model"])
        found = []
        for row in json.loads(pathlib.Path(rows).read_text(encoding="utf-8"))[:count]:
            text = "\n".join(part for part in (row["instruction"], row["input"]) if part)
            found.append(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}],
                    add_generation_prompt=True,
                    return_dict=False,
                )
            )
        return found

    def write(self, prompts, tokens):
        torch = self.torch
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.job["ends"][0])
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        with torch.inference_mode():
            found = self.model.generate(
                ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=tokens,
                suppress_tokens=self.job["ends"],
            )
        return found[:, longest:].tolist()


class CTranslate2:
    def __init__(self, job):
        import ctranslate2
        import transformers

        quantization = {"fp32": "float32", "int8": "int8"}[job["precision"]]
        folder = pathlib.Path(job["cache"]) / f"ctranslate2-{job['precision']}"
        if not folder.exists():
            converter = ctranslate2.converters.TransformersConverter(job["model"])
            converter.convert(str(folder), quantization=quantization)
        self.generator = ctranslate2.Generator(
            str(folder), compute_type=quantization, inter_threads=1, intra_threads=job["threads"]
        )
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
        self.ends = self.tokenizer.convert_ids_to_tokens(job["ends"])

    def write(self, prompts, tokens):
        found = self.generator.generate_batch(
            [self.tokenizer.convert_ids_to_tokens(prompt) for prompt in prompts],
            max_length=tokens,
            sampling_topk=1,
            include_prompt_in_result=False,
            suppress_sequences=[[end] for end in self.ends],
            end_token=[],
        )
        return [result.sequences_ids[0] for result in found]


def write_gguf(folder, path, precision):
    """A Llama model as llama.cpp reads it: rotary columns of queries and keys in pairs, no vocabulary (ids go in and out)."""
    import gguf
    import safetensors.numpy

    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_tokenizer_model("no_vocab")
    names = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    weights = safetensors.numpy.load_file(pathlib.Path(folder) / "model.safetensors")
    for name, value in weights.items():
        value = value.astype("float32")
        if name == "lm_head.weight":
            target = "output.weight"
        elif name in ("model.embed_tokens.weight", "model.norm.weight"):
            target = {"e": "token_embd.weight", "n": "output_norm.weight"}[name[6]]
        else:
            _, _, layer, rest = name.split(".", 3)
            target = f"blk.{layer}.{names[rest.removesuffix('.weight')]}.weight"
        of = heads if "q_proj" in name else kv_heads if "k_proj" in name else 0
        if of:
            rows, columns = value.shape
            value = value.reshape(of, 2, rows // of // 2, columns).swapaxes(1, 2)
            value = value.reshape(rows, columns).copy()
        if precision == "int8" and value.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaCpp:
    """Through its C functions: batches of several sequences, as its own server makes them."""

    def __init__(self, job):
        import llama_cpp
        import numpy

        self.lib, self.numpy, self.job = llama_cpp, numpy, job
        path = pathlib.Path(job["cache"]) / f"llama-{job['precision']}.gguf"
        if not path.exists():
            write_gguf(job["model"], path, job["precision"])
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = job["most_tokens"]
        context.n_seq_max = job["most_prompts"]
        if hasattr(context, "kv_unified"):
            context.kv_unified = True
        context.n_threads = context.n_threads_batch = job["threads"]
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        self.batch = llama_cpp.llama_batch_init(job["most_tokens"], 0, 1)
        self.vocabulary = json.loads((pathlib.Path(job["model"]) / "config.json").read_text())[
            "vocab_size"
        ]

    def decode(self, sequences, begins):
        """The likeliest token behind each sequence, which grows by these tokens from its position on."""
        count, last = 0, []
        for s, (ids, begin) in enumerate(zip(sequences, begins, strict=True)):
            for i, token in enumerate(ids):
                self.batch.token[count] = token
                self.batch.pos[count] = begin + i
                self.batch.n_seq_id[count] = 1
                self.batch.seq_id[count][0] = s
                self.batch.logits[count] = i + 1 == len(ids)
                count += 1
            last.append(count - 1)
        self.batch.n_tokens = count
        if self.lib.llama_decode(self.context, self.batch) != 0:
            raise RuntimeError("llama_decode failed")
        found = []
        for row in last:
            pointer = self.lib.llama_get_logits_ith(self.context, row)
            logits = self.numpy.ctypeslib.as_array(pointer, shape=(self.vocabulary,))
            logits[self.job["ends"]] = -self.numpy.inf
            found.append(int(logits.argmax()))
        return found

    def write(self, prompts, tokens):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        begins, sequences = [0] * len(prompts), prompts
        answers = [[] for _ in prompts]
        for _ in range(tokens):
            new = self.decode(sequences, begins)
            begins = [begin + len(ids) for begin, ids in zip(begins, sequences, strict=True)]
            for answer, token in zip(answers, new, strict=True):
                answer.append(token)
            sequences = [[token] for token in new]
        return answers


def main():
    job = json.loads(sys.argv[1])
    answers_to = sys.stdout
    sys.stdout = sys.stderr  # libraries may print
    program = {"transformers": Transformers, "ctranslate2": CTranslate2, "llama.cpp": LlamaCpp}[
        job["program"]
    ](job)

    def answer(value):
        answers_to.write(json.dumps(value) + "\n")
        answers_to.flush()

    answer({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "prompts":
            answer(program.prompts(command["rows"], command["count"]))
        elif command["do"] == "memory":
            answer(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        else:
            start = time.perf_counter()
            found = program.write(command["prompts"], command["tokens"])
            answer({"answers": found, "seconds": time.perf_counter() - start})


if __name__ == "__main__":
    main()

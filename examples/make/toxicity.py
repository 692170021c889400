"""P(toxic) by the classifier of the package `toxic-comment-classifier` 0.3.0, in torch.

    pip download --no-deps toxic-comment-classifier==0.3.0 -d wheels

The wheel (MIT) holds a bidirectional LSTM trained on the Jigsaw comments: Keras weights in HDF5 and
a pickled vocabulary. Its own code needs TensorFlow; the same network is a few lines of torch. The
pickle is read with an unpickler that can build nothing but dictionaries.
"""

import collections
import io
import pickle
import re
import zipfile

import h5py
import numpy as np
import torch

LENGTH, VOCABULARY = 100, 20_000
SEPARATORS = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\t\n ]+")


class _Record:
    """Stands for the Keras tokenizer: holds its attributes and does nothing."""


class _DictionariesOnly(pickle.Unpickler):
    """An unpickler that refuses every class but plain containers."""

    def find_class(self, module, name):
        allowed = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("collections", "defaultdict"): collections.defaultdict,
            ("builtins", "int"): int,
        }
        if name == "Tokenizer":
            return _Record
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed here")
        return allowed[module, name]


class Toxicity:
    """The network and its vocabulary; call it with texts for their probabilities of being toxic."""

    def __init__(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            tokenizer = archive.read("toxic_classifier/model/tokenizer.pickle")
            weights = io.BytesIO(archive.read("toxic_classifier/model/model.weights.h5"))
        index = _DictionariesOnly(io.BytesIO(tokenizer)).load().word_index
        self.index = {word: number for word, number in index.items() if number < VOCABULARY}
        with h5py.File(weights) as file:
            layers = file["layers"]
            self.embedding = torch.tensor(np.array(layers["embedding/vars/0"]))
            self.lstm = torch.nn.LSTM(50, 50, batch_first=True, bidirectional=True)
            # Keras and torch order the four gates alike; torch has a second bias, left at zero.
            for direction, suffix in (("forward", ""), ("backward", "_reverse")):
                cell = layers[f"bidirectional/{direction}_layer/cell/vars"]
                for name, number in (("weight_ih", "0"), ("weight_hh", "1"), ("bias_ih", "2")):
                    value = torch.tensor(np.array(cell[number]).T)
                    getattr(self.lstm, f"{name}_l0{suffix}").data.copy_(value)
                getattr(self.lstm, f"bias_hh_l0{suffix}").data.zero_()
            self.dense = [
                torch.tensor(np.array(layers[f"{layer}/vars/{number}"]))
                for layer in ("dense", "dense_1")
                for number in "01"
            ]

    def words(self, text):
        """The last hundred known words of a text, padded with zeros on the left, as Keras does."""
        known = [self.index[w] for w in SEPARATORS.split(text.lower()) if w in self.index]
        return [0] * (LENGTH - len(known[-LENGTH:])) + known[-LENGTH:]

    @torch.inference_mode()
    def __call__(self, texts, batch=512):
        """P(toxic) of each text, an array of shape (texts,)."""
        scores = []
        for start in range(0, len(texts), batch):
            numbers = torch.tensor([self.words(text) for text in texts[start : start + batch]])
            hidden = self.lstm(self.embedding[numbers])[0].amax(dim=1)
            weight, bias, weight_out, bias_out = self.dense
            logits = torch.relu(hidden @ weight + bias) @ weight_out + bias_out
            scores.append(torch.sigmoid(logits)[:, 0].double().numpy())
        return np.concatenate(scores) if scores else np.empty(0)

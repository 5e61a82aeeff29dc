"""The tokenizer: a BPE of 2048 tokens in LLaMA's id layout, every word of the demo world one token, bytes for the rest.

`python tokenizer.py data/glosses.txt data/tokenizer.json` trains it. `Tok` is the quick encoder that training uses.
"""
import json
import os
import re
import sys

from scenes import DATA

VOCAB = 2048
PUNCT = r"[\n\r\t!-/:-@\[-`{-~0-9]"


def train(glosses, out):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    from language import vocabulary

    def split():
        return pre_tokenizers.Sequence([pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=True),
                                        pre_tokenizers.Split(Regex(PUNCT), "isolated")])
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.pre_tokenizer = split()
    words = vocabulary()
    starts = sorted({w for w in words if w[0].isupper()})
    with open(glosses) as f:
        english = f.read(3_000_000).splitlines()
    corpus = ["x " + " ".join(words)] * 3000 + ["\n" + w for w in starts] * 300 + english
    tr = trainers.BpeTrainer(vocab_size=VOCAB - 3 - 256 - 2, special_tokens=[], limit_alphabet=100, show_progress=False,
                             initial_alphabet=list("▁\n" + "".join(chr(i) for i in range(33, 127))))
    t.train_from_iterator(corpus, tr)
    j = json.loads(t.to_str())
    pieces = sorted(j["model"]["vocab"], key=j["model"]["vocab"].get)
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for i in range(256):
        vocab["<0x%02X>" % i] = 3 + i
    for p in pieces:
        vocab.setdefault(p, len(vocab))
    vocab["<image>"] = len(vocab)
    vocab["<pad>"] = len(vocab)
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in j["model"]["merges"]]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = split()
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in ("<unk>", "<s>", "</s>", "<image>", "<pad>")])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    t.save(out)
    bad = [w for w in words if len(t.encode("x " + w, add_special_tokens=False).ids) != 2]
    print("vocabulary", len(vocab), "words that are not one token:", bad)


class Tok:
    """Encodes word by word with a cache; the same ids as the whole tokenizer gives."""

    def __init__(s, path=None):
        from tokenizers import Tokenizer
        s.t = Tokenizer.from_file(path or os.path.join(DATA, "tokenizer.json"))
        s.cache = {}
        s.bos, s.eos, s.image, s.pad = 1, 2, s.t.token_to_id("<image>"), s.t.token_to_id("<pad>")
        s.size = s.t.get_vocab_size()
        ids = s.t.encode("USER: <image>\nHi", add_special_tokens=False).ids
        s.prefix = [s.bos] + ids[:ids.index(s.image)]

    def raw(s, text):
        return s.t.encode(text, add_special_tokens=False).ids

    def words(s, text):
        """Ids of text that follows other text: every word carries its leading space mark."""
        out = []
        for w in text.split(" ") if text else ():
            v = s.cache.get(w)
            if v is None:
                v = s.cache[w] = s.raw("x " + w)[1:]
            out += v
        return out

    def first(s, word):
        """Ids of the newline and the word right after it, as they follow <image>."""
        v = s.cache.get("\0" + word)
        if v is None:
            v = s.cache["\0" + word] = s.raw("<image>\n" + word)[1:]
        return v

    def turn(s, q, a=None):
        """Ids of "\\nQ ASSISTANT: A</s>" and how many of them are the prompt."""
        w, _, rest = q.partition(" ")
        ids = s.first(w) + s.words(rest) + s.words("ASSISTANT:")
        n = len(ids)
        if a is not None:
            ids = ids + s.words(a) + [s.eos]
        return ids, n

    def one(s, word):
        ids = s.words(word)
        assert len(ids) == 1, word
        return ids[0]

    def decode(s, ids):
        return s.t.decode([i for i in ids if i not in (s.eos, s.pad)]).strip()


if __name__ == "__main__":
    train(*sys.argv[1:3])

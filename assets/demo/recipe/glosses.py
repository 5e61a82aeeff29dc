"""WordNet's glosses as lines of plain text ("dog: a member of the genus Canis ..."), for the language model's first stage.

`python glosses.py /usr/share/wordnet data/glosses.txt` (Debian's package wordnet-base; the WordNet 3.0 licence).
"""
import random
import sys

from language import vocabulary


def lines(folder):
    for part in ("noun", "verb", "adj", "adv"):
        with open(f"{folder}/data.{part}") as f:
            for row in f:
                if row.startswith("  "):
                    continue
                head, _, gloss = row.partition(" | ")
                cols = head.split()
                words = [cols[4 + 2 * i].replace("_", " ").split("(")[0] for i in range(int(cols[3], 16))]
                gloss = gloss.strip().split("; \"")[0].strip()
                if gloss and len(gloss) < 220 and gloss.isascii() and not words[0][0].isupper():
                    yield words[0], f"{words[0]}: {gloss}."


def main(folder, out, limit=60000):
    rows = sorted(set(lines(folder)))
    known = set(vocabulary())
    random.Random(0).shuffle(rows)
    rows.sort(key=lambda t: (t[0] not in known, " " in t[0] or "-" in t[0]))
    with open(out, "w") as f:
        f.write("\n".join(t for _, t in rows[:limit]) + "\n")
    print(len(rows), "glosses,", min(limit, len(rows)), "kept")


if __name__ == "__main__":
    main(*sys.argv[1:3])

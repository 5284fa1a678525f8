"""The command line, and nothing else."""
import argparse, sys
from pathlib import Path


def main(argv=None):
    p = argparse.ArgumentParser(prog="genbench"); s = p.add_subparsers(dest="c")
    t = s.add_parser("train"); t.add_argument("baseline"); t.add_argument("--dataset", default="digits")
    t.add_argument("--set", action="append", default=[]); t.add_argument("--steps", type=int); t.add_argument("--minutes", type=float, default=float("inf"))
    t.add_argument("--seed", type=int, default=0); t.add_argument("-o", type=Path); t.add_argument("--data-root", type=Path)
    a = p.parse_args(argv)
    import ast
    from genbench import datasets
    from genbench.train import train, preset_of
    st = {}
    for kv in a.set:
        k, v = kv.split("=", 1)
        try: v = ast.literal_eval(v)
        except Exception: pass
        st[k] = v
    if a.steps: st["steps"] = a.steps
    card = train(a.baseline, datasets.load(a.dataset, a.data_root), preset_of(a.baseline, a.dataset, st), a.o or Path(f"{a.dataset}-{a.baseline}.safetensors"), a.seed, a.minutes, command="genbench " + " ".join(sys.argv[1:]))
    print(card)
    return 0

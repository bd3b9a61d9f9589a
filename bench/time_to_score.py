"""How long until a validation accuracy is reached: hone and the best setting of Transformers, sst2, MiniLM, over a few seeds.

    python bench/time_to_score.py [--score 0.86] [--seeds 1 2 3] [--output FILE]

Only training steps are timed. Equal weights (the head's too), batch, learning rate and evaluation interval; the order of the rows is each
program's own, so the number of steps varies with the seed: that is why there are several.
"""

import argparse
import json
import pathlib
import statistics
import sys

import sets
import speed
import workers

CELL = "minilm-sst2"
EVERY, MOST = 24, 216  # steps between evaluations (a ninth of an epoch), and at most


def hone_curve(job, validation, seed):
    run = workers.hone_train(job, speed.FOLDER / "runs" / "time-to-score", MOST, skipped=0, seed=seed, eval_strategy="steps", eval_steps=EVERY,
                             load_best_model_at_end=False, validation=validation)
    return [{"steps": e["step"], "seconds": sum(run["step_seconds"][:e["step"]]), "accuracy": e["metrics"]["accuracy"]}
            for e in run["evaluations"]]


def first_at(curve, score):
    return next(({"seconds": point["seconds"], "steps": point["steps"]} for point in curve if point["accuracy"] >= score), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--score", type=float, default=0.86)
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--output", type=pathlib.Path, default=speed.RESULTS / "time_to_score.json")
    arguments = parser.parse_args()
    speed.prepare_inputs([CELL])
    paths = {split: speed.FOLDER / "rows" / f"sst2-{split}.jsonl" for split in ("train", "dev")}
    for split, path in paths.items():
        sets.write_jsonl(sets.rows("sst2", split), path)
    found, best = {"hone": [], "transformers": []}, speed.best_of(CELL, steps=5)
    for seed in arguments.seeds:
        job = dict(best, rows=str(paths["train"]), seed=seed)
        found["hone"].append(first_at(hone_curve(job, paths["dev"], seed), arguments.score))
        with workers.PeerWorker(job) as worker:
            curve = worker.ask("until", score=arguments.score, every=EVERY, most=MOST, validation=str(paths["dev"]))["curve"]
        found["transformers"].append(first_at(curve, arguments.score))
        print(f"  seed {seed}: accuracy {arguments.score} after " + ", ".join(
            f"{at[-1]['seconds']:.1f} s and {at[-1]['steps']} steps ({who})" if at[-1] else f"more than {MOST} steps ({who})"
            for who, at in found.items()), flush=True)
    reached = {who: [at["seconds"] for at in taken if at] for who, taken in found.items()}
    if all(reached.values()):
        print(f"  {statistics.median(reached['transformers']) / statistics.median(reached['hone']):.2f} times sooner", flush=True)
    arguments.output.write_text(json.dumps({"score": arguments.score, **found}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""Judge the paper's claims by the results of its three studies."""

import argparse
from html import escape
from itertools import groupby
from pathlib import Path

from zbo.base import channels, command, config, storage
from zbo.base.config import PAPER_STUDIES
from zbo.drawing import plots
from zbo.judge import claims
from zbo.judge.paper_claims import CLAIMS
from zbo.judge.scores import kinds

COLUMNS = {
    "study": "study",
    "images": "images",
    "claim": "the paper's claim",
    "source": "where",
    "rule": "judged by",
    "ours": "our number",
    "verdict": "verdict",
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Claims</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 72rem }}
body {{ margin: 1rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #ddd; padding: .35rem .5rem }}
td, th {{ text-align: left; vertical-align: top }}
.verdict {{ font-weight: 600; white-space: nowrap }}
.holds {{ color: #00694c }}
.partly {{ color: #8a5a00 }}
.not {{ color: #a33c00 }}
.unknown {{ color: #666 }}
@media (max-width: 40rem) {{
  thead {{ display: none }} tr {{ display: block; padding: .6rem 0; border-bottom: 1px solid #ddd }}
  td {{ display: block; border: 0; padding: .1rem 0 }}
}}
</style>
<h1>The paper's claims, judged by labels</h1>
<p>Mean ± standard deviation over {seeds} seeds of each model. A comparison of two models,
paired by seed, holds where the {level:.0%} interval of the mean difference is on the claimed side,
holds partly where only the mean is. A statement about each seed holds where all seeds bear it out,
partly where some do. A label is extracted where it makes up half or more of a class; a model
without classes is judged by k-means of its latents.</p>
{tables}
</html>
"""
CLASSES = {claims.HOLDS: "holds", claims.PARTLY: "partly", claims.NOT: "not"}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    order = f"of {', '.join(PAPER_STUDIES)}, in this order"
    for name in ("scores", "optima", "spaces", "images"):
        parser.add_argument(f"--{name}", required=True, nargs=len(PAPER_STUDIES), help=order)
    parser.add_argument("--output", required=True, nargs=2, help="claims.csv and claims.html")
    args = parser.parse_args(argv)
    given = zip(args.scores, args.optima, args.spaces, args.images, strict=True)
    found = [_study(*files) for files in given]
    results = dict(zip(PAPER_STUDIES, found, strict=True))
    images = dict(zip(PAPER_STUDIES, map(_describe, args.images), strict=True))
    rows = []
    for claim in CLAIMS:
        finding = claim.rule(*(results[name] for name in claim.studies))
        rows.append(
            {
                "study": " and ".join(claim.studies),
                "images": images[claim.studies[0]],
                "claim": claim.text,
                "source": claim.source,
                "rule": claim.rule.text,
                "ours": finding.ours,
                "verdict": finding.verdict,
            }
        )
    table, page = args.output
    storage.write_table(table, rows, COLUMNS)
    seeds = max(len(v["accuracy"]) for study in found for v in study.scores.values())
    with storage.whole(page) as beside:
        beside.write_text(_page(rows, seeds))


def _study(scores: str, optimum: str, space: str, images: str) -> claims.Study:
    best = storage.read(optimum, kind="optimum")
    return claims.Study(
        scores=plots.read_scores(scores, claims.SCORES),
        optimum=channels.split(best["beta"])[0, 0],
        bounds=tuple(storage.facts(space, kind="space")["settings"]["trajectories"]["bounds"]),
        trials=int(best["trials"]),
        stopped="budget" not in best["stop"],
        labels=kinds(storage.read(images, kind="images")["labels"]),
    )


def _describe(path: str) -> str:
    """Say which images a study saw: whose, how many, how large, reduced or not."""
    images = storage.read(path, kind="images")
    chosen = storage.facts(path, kind="images")["settings"]["images"]
    count, h, w = images["images"].shape
    if chosen["source"] == "nanoparticles":
        whose = "simulated" if images["simulated"] else "the authors'"
    else:
        whose = {"mnist": "MNIST"}.get(chosen["source"], chosen["source"])
    scale = "reduced" if Path(path).parent.name.endswith(config.REDUCED) else "paper's"
    return f"{whose}, {count:,} of {h} x {w}, {scale} scale"


def _page(rows: list[dict[str, str]], seeds: int) -> str:
    tables = []
    for (study, images), claimed in groupby(rows, key=lambda row: (row["study"], row["images"])):
        tables.append(f"<h2>{escape(study)}</h2>\n<p>Images: {escape(images)}.</p>\n<table>")
        shown = [name for name in COLUMNS if name not in ("study", "images")]
        heads = "".join(f"<th>{escape(COLUMNS[name])}</th>" for name in shown)
        tables.append(f"<thead><tr>{heads}</tr></thead>")
        for row in claimed:
            cells = "".join(f"<td>{escape(row[name])}</td>" for name in shown[:-1])
            verdict = row["verdict"]
            cells += f'<td class="verdict {CLASSES.get(verdict, "unknown")}">{escape(verdict)}</td>'
            tables.append(f"<tr>{cells}</tr>")
        tables.append("</table>")
    return PAGE.format(seeds=seeds, level=claims.LEVEL, tables="\n".join(tables))


if __name__ == "__main__":
    command.run(main)

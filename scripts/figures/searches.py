"""Show zBO and its rivals at equal cost: replayed on the measuring ground, and run for real.

Above, mean over replays with the 90 % interval of the mean; below, a point a run. Of two
objectives, at the middle one of the second's floors.
"""

import argparse

import numpy as np

from zbo.base import command, storage
from zbo.base.searches import SEARCHES
from zbo.drawing import plots

NAMES = {name: search.label for name, search in SEARCHES.items()}
NAMES["lottery, beta 1"] = f"seed lottery, {plots.BETA} = 1"  # replayed beside it


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replayed", required=True, help="searches-*.csv")
    parser.add_argument("--rivals", required=True, help="rivals.csv")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    replayed, runs = (storage.read_table(path) for path in (args.replayed, args.rivals))
    shown, ran = (
        [name for name in NAMES if any(row["search"] == name for row in rows)]
        for rows in (replayed, runs)
    )
    every = dict.fromkeys([*shown, *ran])
    colours = {name: plots.colour_of(number) for number, name in enumerate(every)}
    few = len(plots.COLOURS)
    styles = {name: ("-", "--", ":")[number // few] for number, name in enumerate(every)}
    with plots.style():
        figure = plots.figure(plots.PAGE, 6)
        curves, strips = figure.subplots(2, 2, sharex="row", sharey="row", height_ratios=[1.2, 1])
        for ax, (what, key), letter in zip(curves, _columns(replayed), "ab", strict=True):
            for name in shown:
                rows = [row for row in replayed if row["search"] == name]
                cost, mean, error = (
                    np.array([float(row[column]) for row in rows])
                    for column in ("trainings", key, f"{key}_error")
                )
                look = {"color": colours[name], "ls": styles[name], "label": NAMES[name]}
                ax.plot(cost, mean, **look)
                ax.fill_between(cost, mean - error, mean + error, color=colours[name], alpha=0.2)
            ax.set_xlabel("trainings")
            plots.letter(ax, letter, f"{what}, replayed")
        curves[0].set_ylabel("accuracy")
        handles, words = curves[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside upper center", ncols=4)
        for ax, (what, key), letter in zip(strips, _columns(runs), "cd", strict=True):
            values = [
                np.array([float(row[key]) for row in runs if row["search"] == name]) for name in ran
            ]
            plots.strip(ax, values, "", [colours[name] for name in ran])
            ax.set_xlabel("accuracy")
            plots.letter(ax, letter, f"{what}, trained")
        strips[0].set_yticks(range(len(ran)), [NAMES[name] for name in ran])
        plots.save(figure, args.output)


def _columns(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Say what is shown and in which column it stands."""
    floors = [name.partition("_")[2] for name in rows[0] if name.startswith("kept")]
    floors = [floor for floor in floors if floor.replace(".", "").isdigit()]
    if not floors:
        return [(what, what) for what in ("recommended", "kept")]
    floor = floors[len(floors) // 2]
    return [(f"{what} at {floor} or more", f"{what}_{floor}") for what in ("recommended", "kept")]


if __name__ == "__main__":
    command.run(main)

"""Show the workflow as its rules depend on each other: the counterpart of the paper's figure 4."""

import argparse
import re
import sys
from collections import defaultdict

from zbo.base import command
from zbo.base.errors import InputError
from zbo.drawing import plots

BOX = {"boxstyle": "round,pad=0.35", "facecolor": "white", "linewidth": 1.0}
PLACES = (0, 1, -1, 2, -2)  # across a row, in the order they are filled


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="rule that decides what comes next")
    parser.add_argument("--output", required=True, nargs="+", help="figure, .pdf and .png")
    args = parser.parse_args(argv)
    forward, loop = read(sys.stdin.read(), args.checkpoint)
    at = place(forward)
    with plots.style():
        depth = 1 + max(row for _, row in at.values())
        figure = plots.figure(plots.COLUMN, 0.42 * depth)
        ax = figure.subplots()
        boxes = {}
        for name, (x, y) in at.items():
            edge = plots.RECOMMENDED if name == args.checkpoint else plots.COLOURS[0]
            look = {"ha": "center", "va": "center", "bbox": BOX | {"edgecolor": edge}}
            boxes[name] = ax.text(x, y, plots.readable(name), **look)
        across = [x for x, _ in at.values()]
        ax.set(xlim=(min(across) - 0.5, max(across) + 0.5), ylim=(depth - 0.5, -0.5))
        ax.set_axis_off()
        figure.draw_without_rendering()  # arrows end at the boxes, so these need their sizes first
        for edges, colour in ((forward, "0.45"), (loop, plots.RECOMMENDED)):
            for start, end in edges:
                look = {
                    "patchA": boxes[start].get_bbox_patch(),
                    "patchB": boxes[end].get_bbox_patch(),
                    "connectionstyle": f"arc3,rad={_bend(at[start], at[end])}",
                }
                look |= {"arrowstyle": "-|>", "color": colour, "lw": 1, "shrinkA": 0, "shrinkB": 1}
                ax.annotate("", at[end], at[start], arrowprops=look, zorder=1)
        plots.save(figure, args.output)


def read(dot: str, checkpoint: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Read the edges of `snakemake --rulegraph dot`.

    Args:
        dot: Its text.
        checkpoint: The rule whose edges into rules that feed it close the loop.

    Returns:
        Edges that lead forward, from rule to rule, and those that close the loop.

    Raises:
        InputError: If there is no edge in it.
    """
    names = dict(re.findall(r'(\d+)\s*\[label = "([^"]+)"', dot))
    edges = [(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", dot)]
    if not edges:
        raise InputError("standard input: no edges; pipe `snakemake --rulegraph dot` into this")
    feeding = {start for start, end in edges if end == checkpoint}
    loop = [edge for edge in edges if edge[0] == checkpoint and edge[1] in feeding]
    forward = [edge for edge in edges if edge not in loop and edge[0] != edge[1]]
    return forward, [edge for edge in loop if edge[0] != edge[1]]


def place(edges: list[tuple[str, str]]) -> dict[str, tuple[float, int]]:
    """Give each rule a place (x, row): below all it needs, sources just above what needs them."""
    needs, needed = defaultdict(list), defaultdict(list)
    for start, end in edges:
        needs[end].append(start)
        needed[start].append(end)
    names = sorted({*needs, *needed})
    row = dict.fromkeys(names, 0)
    for _ in names:  # as many rounds as the longest path may take
        for name in names:
            row[name] = max((row[before] + 1 for before in needs[name]), default=0)
    for name in names:
        if not needs[name]:
            row[name] = min(row[after] for after in needed[name]) - 1
    x: dict[str, float] = {}
    for level in range(max(row.values()) + 1):
        here = [name for name in names if row[name] == level]
        # In the middle what goes on from above, sources beside it.
        here.sort(key=lambda name: (not needs[name], sum(abs(x[before]) for before in needs[name])))
        x |= {name: PLACES[number] for number, name in enumerate(here)}
    return {name: (x[name], row[name]) for name in names}


def _bend(start: tuple[float, int], end: tuple[float, int]) -> float:
    """Bend arrows that skip rows outwards, and those that lead back."""
    if end[1] - start[1] == 1:
        return 0.0
    if start[0] == end[0]:
        return 0.7 if start[0] <= 0 else -0.35
    return -0.35 if max(start[0], end[0]) > 0 else 0.4


if __name__ == "__main__":
    command.run(main)

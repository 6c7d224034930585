"""Put the measuring ground's blocks into one small table: a row a training, no images."""

import numpy as np

from zbo.base import command, storage
from zbo.rivals import ground


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--design", required=True, help="ground/design.h5")
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--blocks", required=True, nargs="+", help="ground/*.h5")
    parser.add_argument("--output", required=True, help="ground.h5")
    args = parser.parse_args(argv)
    design = storage.read(args.design, kind="ground_design")
    blocks = [storage.read(path, kind="ground") for path in args.blocks]
    blocks = [block for block in blocks if block]  # one whose every training diverged is empty
    names = [name for name in blocks[0] if name not in ground.WHOLE_MODELS]
    table = {name: np.concatenate([block[name] for block in blocks]) for name in names}
    # As a search would see it: on the subset, without labels.
    subset = storage.read(args.images, kind="images")["subset"]
    probabilities = np.concatenate([block["probabilities"][:, subset] for block in blocks])
    table["agreement"] = np.full_like(table["l1"], np.nan)
    if probabilities.shape[-1]:  # a model without classes has none to agree on
        found = ground.agreement(probabilities.argmax(-1), np.random.default_rng(0))
        table["agreement"][:, -1] = found
    order = np.lexsort((table["repeat"], table["trajectory"]))
    made = [storage.facts(path, kind="ground") for path in args.blocks]
    pixels = np.prod(blocks[0]["manifolds"].shape[-2:])
    storage.write(
        args.output,
        {
            "z": design["z"].astype(np.float32),
            "beta": design["beta"].astype(np.float32),
            "constant": design["constant"],
            "repeats": design["repeats"],
            "unit_beta": pixels / args.settings["compare"]["unit_pixels"],
            "cycles": np.array(ground.checkpoints(design["beta"].shape[-1])),
            **{f"rows/{name}": values[order] for name, values in table.items()},
        },
        kind="ground table",
        settings=args.settings,
        code=sorted({of_block["commit"] for of_block in made}),
    )


if __name__ == "__main__":
    command.run(main)

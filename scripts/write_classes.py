"""Write what is known of each image: class, how sure it is, angle, latents."""

import logging

import numpy as np

from zbo.base import command, storage
from zbo.judge import answer

log = logging.getLogger(__name__)

WARNED = 0.05  # share of unlike images from which on to warn; of the study's own 1 % are


def main(argv: list[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--model", required=True, help="model.h5, the model kept")
    parser.add_argument("--images", required=True, help="images.h5")
    parser.add_argument("--output", required=True, help="classes.csv")
    args = parser.parse_args(argv)
    command.use_threads(args.threads)
    images = storage.read(args.images, kind="images")
    found = answer.read(args.model).look(images["images"])
    storage.write_table(args.output, list(answer.rows(found, images)))
    if (share := np.mean(found.unlike)) > WARNED:
        log.warning(
            "%s: %.0f %% of the images are reconstructed worse than 99 %% of those the model was "
            "trained on: they are unlike these, and classes may mean little; see column unlike",
            args.images,
            100 * share,
        )


if __name__ == "__main__":
    command.run(main)

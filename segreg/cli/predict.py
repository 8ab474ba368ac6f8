"""`segreg predict`: masks for images."""

import argparse
from pathlib import Path

from segreg.cli.stop import stoppable
from segreg.errors import counted
from segreg.prediction.mask_files import plan, predict_files
from segreg.prediction.predictor import load
from segreg.support.device import device_name
from segreg.support.progress import Display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("run", metavar="RUN", help="directory of a run, or a model.safetensors")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="images, and folders of images")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for masks/, and for overlays/ and probabilities/ if requested"
    )
    parser.add_argument("--overlay", action="store_true", help="also write the images with the predictions over them")
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also write the probability of each class at each pixel, as NumPy arrays, float16 [K, H, W]",
    )
    parser.add_argument(
        "--tile",
        type=int,
        help="cut images into tiles of this height and width, in pixels, at their own scale. By default they are "
        "resized to the training size",
    )
    parser.add_argument("--overlap", type=int, help="minimum overlap of tiles, in pixels. Default: 1/8 of the tile")
    parser.add_argument(
        "--tta", action="store_true", help="average over rotated and flipped views, which takes eight times as long"
    )
    parser.add_argument(
        "--if-exists",
        choices=["error", "skip", "overwrite"],
        default="error",
        help="what to do if files exist already. Default: error",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps, ... Default: auto")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Predict, and print where the results are; 1 if an image could not be read."""
    outputs = plan(
        arguments.images,
        arguments.out,
        overlays=arguments.overlay,
        probabilities=arguments.probabilities,
        if_exists=arguments.if_exists,
    )
    predictor = load(
        arguments.run, device=arguments.device, tile=arguments.tile, overlap=arguments.overlap, tta=arguments.tta
    )
    with stoppable(), Display(arguments.quiet) as display:
        images = counted(len(outputs), "image")
        display.line(f"{predictor.about.architecture} on {device_name(predictor.device)}, {images}")
        done = 0

        def progress(number: int, total: int) -> None:
            nonlocal done
            done = number
            display.progress("predicting", number, total)

        try:
            failures = predict_files(predictor, outputs, progress)
        # Ctrl-C, and the signals that `stoppable` turns into SystemExit.
        except (KeyboardInterrupt, SystemExit):
            display.note(f"interrupted after {done} of {len(outputs)} images; continue with --if-exists skip")
            raise
        for _, reason in failures:
            display.note(reason)
    print(f"{len(outputs) - len(failures)} masks: {arguments.out / 'masks'}")
    return 1 if failures else 0

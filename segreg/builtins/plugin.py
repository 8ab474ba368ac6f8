"""segreg's own components, declared as any plugin declares its own."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture, Augmentation, Dataset, Loss, Metric, Optimizer, Schedule, Tracker

_ON_THE_HOST = {"update-does-not-wait": "distances between boundaries are computed by SciPy on the CPU"}


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="segnet",
            target="segreg.builtins.architectures.segnet:SegNet",
            pretrained_options=("pretrained",),
            summary="VGG16 encoder; the decoder unpools with the encoder's pooling indices",
        ),
        Architecture(
            name="segnet-basic",
            target="segreg.builtins.architectures.segnet_basic:SegNetBasic",
            summary="The small SegNet: four 7×7 convolutions down, four up",
        ),
        Architecture(
            name="unet",
            target="segreg.builtins.architectures.unet:UNet",
            summary="Encoder and decoder joined by skip connections",
        ),
        Architecture(
            name="unet-upsample",
            target="segreg.builtins.architectures.unet:UNet",
            options={"upsample": "nearest"},
            summary="U-Net that upsamples by nearest neighbour",
        ),
        Architecture(
            name="unet-convpool",
            target="segreg.builtins.architectures.unet:UNet",
            options={"pool": "conv"},
            summary="U-Net that downsamples with strided convolutions",
        ),
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    """Declare the losses."""
    return [
        Loss(
            name="bce",
            target="segreg.builtins.losses.bce:BCELoss",
            summary="Binary cross-entropy, one sigmoid per class",
        ),
        Loss(
            name="cross-entropy",
            target="segreg.builtins.losses.cross_entropy:CrossEntropyLoss",
            summary="Cross-entropy over the classes; binary with one logit",
            aliases=("ce",),
        ),
        Loss(
            name="dice",
            target="segreg.builtins.losses.dice:DiceLoss",
            summary="Soft Dice: one minus the overlap of prediction and target",
        ),
        Loss(
            name="focal",
            target="segreg.builtins.losses.focal:FocalLoss",
            summary="Cross-entropy that down-weights well-classified pixels",
        ),
        Loss(
            name="wsr",
            target="segreg.builtins.losses.wsr:WSRLoss",
            summary="Cross-entropy with a sparsity and a total-variation term",
        ),
        Loss(
            name="jaccard",
            target="segreg.builtins.losses.jaccard:JaccardLoss",
            summary="Soft Jaccard: one minus intersection over union",
        ),
        Loss(
            name="tversky",
            target="segreg.builtins.losses.tversky:TverskyLoss",
            summary="Dice with separate weights for false positives and false negatives",
        ),
        Loss(
            name="focal-tversky",
            target="segreg.builtins.losses.focal_tversky:FocalTverskyLoss",
            summary="Root of the Tversky loss, steeper where the overlap is nearly perfect",
        ),
        Loss(
            name="lovasz",
            target="segreg.builtins.losses.lovasz:LovaszLoss",
            summary="Convex surrogate of the Jaccard index (hinge for one logit, softmax for several)",
        ),
    ]


@hookimpl
def segreg_metrics() -> Iterable[Metric]:
    """Declare the metrics."""
    return [
        Metric(
            name="iou",
            target="segreg.builtins.metrics.iou:IoU",
            definition="iou",
            summary="Intersection over union",
        ),
        Metric(
            name="dice",
            target="segreg.builtins.metrics.dice:Dice",
            definition="dice",
            summary="Twice the intersection over the sum of both areas; the F1 score",
            aliases=("f1",),
        ),
        Metric(
            name="accuracy",
            target="segreg.builtins.metrics.accuracy:Accuracy",
            definition="accuracy",
            summary="Share of correctly classified pixels",
        ),
        Metric(
            name="precision",
            target="segreg.builtins.metrics.precision:Precision",
            definition="precision",
            summary="Share of the predicted area that is correct",
        ),
        Metric(
            name="recall",
            target="segreg.builtins.metrics.recall:Recall",
            definition="recall",
            summary="Share of the true area that is found",
        ),
        Metric(
            name="hausdorff95",
            target="segreg.builtins.metrics.hausdorff95:Hausdorff95",
            higher_is_better=False,
            summary="Distance between the boundaries without the farthest 5 %, in pixels",
            aliases=("hd95",),
            known_failures=_ON_THE_HOST,
        ),
        Metric(
            name="surface-dice",
            target="segreg.builtins.metrics.surface_dice:SurfaceDice",
            summary="Share of both boundaries within a tolerance of the other, in pixels",
            aliases=("nsd",),
            known_failures=_ON_THE_HOST,
        ),
    ]


@hookimpl
def segreg_datasets() -> Iterable[Dataset]:
    """Declare the datasets."""
    return [
        Dataset(
            name="lesions",
            target="segreg.builtins.datasets.lesions:Lesions",
            summary="Synthetic dermoscopy images with exact masks, drawn on first use",
        ),
        Dataset(
            name="ph2",
            target="segreg.builtins.datasets.ph2:PH2",
            example="segreg.builtins.datasets.ph2:example",
            summary="200 dermoscopic images of melanocytic lesions",
        ),
        Dataset(
            name="isic",
            target="segreg.builtins.datasets.isic:ISIC",
            example="segreg.builtins.datasets.isic:example",
            summary="ISIC task 1: X.jpg beside X_segmentation.png",
        ),
        Dataset(
            name="folder",
            target="segreg.builtins.datasets.folder:Folder",
            example="segreg.builtins.datasets.folder:example",
            summary="Your own images: images/ and masks/ with equal stems",
        ),
        Dataset(
            name="camvid",
            target="segreg.builtins.datasets.camvid:CamVid",
            example="segreg.builtins.datasets.camvid:example",
            summary="Road scenes in 11 classes",
        ),
    ]


@hookimpl
def segreg_augmentations() -> Iterable[Augmentation]:
    """Declare the augmentations."""
    return [
        Augmentation(
            name="hflip",
            target="segreg.builtins.augmentations.hflip:HorizontalFlip",
            summary="Flips half of the images, left to right",
        ),
        Augmentation(
            name="vflip",
            target="segreg.builtins.augmentations.vflip:VerticalFlip",
            summary="Flips half of the images, top to bottom",
        ),
        Augmentation(
            name="rotate90",
            target="segreg.builtins.augmentations.rotate90:QuarterTurns",
            summary="Rotates by a multiple of 90°, or by 0° or 180° if images are not square",
        ),
        Augmentation(
            name="affine",
            target="segreg.builtins.augmentations.affine:Affine",
            summary="Rotates, translates, scales and shears half of the images",
        ),
        Augmentation(
            name="zoom",
            target="segreg.builtins.augmentations.zoom:Zoom",
            summary="Cuts out a random part, and scales it to the size of the image",
        ),
        Augmentation(
            name="elastic",
            target="segreg.builtins.augmentations.elastic:Elastic",
            summary="Displaces pixels by a smooth random field",
        ),
        Augmentation(
            name="brightness",
            target="segreg.builtins.augmentations.brightness:Brightness",
            summary="Adds a random number to all pixels",
        ),
        Augmentation(
            name="contrast",
            target="segreg.builtins.augmentations.contrast:Contrast",
            summary="Scales the distance from the mean of the image",
        ),
        Augmentation(
            name="gamma",
            target="segreg.builtins.augmentations.gamma:Gamma",
            summary="Raises pixels to a random power",
        ),
        Augmentation(
            name="noise",
            target="segreg.builtins.augmentations.noise:Noise",
            summary="Adds Gaussian noise",
        ),
    ]


@hookimpl
def segreg_optimizers() -> Iterable[Optimizer]:
    """Declare the optimizers."""
    return [
        Optimizer(
            name="adamw",
            target="segreg.builtins.optimizers.adamw:AdamW",
            summary="Adam with decoupled weight decay",
        ),
        Optimizer(
            name="adam",
            target="segreg.builtins.optimizers.adam:Adam",
            summary="Steps scaled by the gradient's recent size, one scale per weight",
        ),
        Optimizer(
            name="sgd",
            target="segreg.builtins.optimizers.sgd:SGD",
            summary="Stochastic gradient descent with momentum",
        ),
    ]


@hookimpl
def segreg_schedules() -> Iterable[Schedule]:
    """Declare the schedules."""
    return [
        Schedule(
            name="constant",
            target="segreg.builtins.schedules.constant:Constant",
            summary="The learning rate stays what it is",
        ),
        Schedule(
            name="onecycle",
            target="segreg.builtins.schedules.onecycle:OneCycle",
            summary="Up over the first 10 % of the steps, then down to zero along a cosine",
        ),
        Schedule(
            name="cosine",
            target="segreg.builtins.schedules.cosine:Cosine",
            summary="Down to zero along half a cosine, with an optional warm-up",
        ),
        Schedule(
            name="poly",
            target="segreg.builtins.schedules.poly:Poly",
            summary="Down to zero along a power of the remaining steps",
        ),
        Schedule(
            name="step",
            target="segreg.builtins.schedules.step:Step",
            summary="Multiplied by a factor at given shares of the training",
        ),
    ]


@hookimpl
def segreg_trackers() -> Iterable[Tracker]:
    """Declare the trackers."""
    return [
        Tracker(
            name="tensorboard",
            target="segreg.builtins.trackers.tensorboard:TensorBoard",
            summary="Curves, settings, results and sample images in TensorBoard",
        ),
    ]

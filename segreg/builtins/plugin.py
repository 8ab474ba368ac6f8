"""segreg's own components, declared as any plugin declares its own."""

from collections.abc import Iterable

from segreg.hooks import hookimpl
from segreg.specs import Architecture, Dataset, Loss, Metric, Tracker

_SEGNET = "Badrinarayanan et al., SegNet, 2015, arXiv:1511.00561"
_UNET = "Ronneberger et al., U-Net, 2015, arXiv:1505.04597"
_ON_THE_HOST = {"update-does-not-wait": "distances between boundaries are computed by SciPy, on the host"}


@hookimpl
def segreg_architectures() -> Iterable[Architecture]:
    """Declare the models."""
    return [
        Architecture(
            name="segnet",
            target="segreg.builtins.architectures.segnet:SegNet",
            summary="VGG16 encoder; the decoder unpools with the encoder's pooling indices",
            reference=_SEGNET,
        ),
        Architecture(
            name="segnet-basic",
            target="segreg.builtins.architectures.segnet_basic:SegNetBasic",
            summary="The small SegNet: four 7×7 convolutions down, four up",
            reference=_SEGNET,
        ),
        Architecture(
            name="unet",
            target="segreg.builtins.architectures.unet:UNet",
            summary="Encoder and decoder joined by skip connections",
            reference=_UNET,
        ),
        Architecture(
            name="unet-upsample",
            target="segreg.builtins.architectures.unet:UNet",
            options={"upsample": "nearest"},
            summary="U-Net that upsamples by nearest neighbour",
            reference=_UNET,
        ),
        Architecture(
            name="unet-convpool",
            target="segreg.builtins.architectures.unet:UNet",
            options={"pool": "conv"},
            summary="U-Net that downsamples with strided convolutions",
            reference=_UNET,
        ),
    ]


@hookimpl
def segreg_losses() -> Iterable[Loss]:
    """Declare the losses."""
    return [
        Loss(
            name="bce",
            target="segreg.builtins.losses.bce:BCELoss",
            summary="Binary cross-entropy, one sigmoid a class",
            reference="Goodfellow et al., Deep Learning, 2016, section 6.2.2.2",
        ),
        Loss(
            name="cross-entropy",
            target="segreg.builtins.losses.cross_entropy:CrossEntropyLoss",
            summary="Cross-entropy over the classes; with one logit the binary one",
            reference="Goodfellow et al., Deep Learning, 2016, section 6.2.2.3",
            aliases=("ce",),
        ),
        Loss(
            name="dice",
            target="segreg.builtins.losses.dice:DiceLoss",
            summary="Soft Dice: one minus the overlap of prediction and target",
            reference="Milletari et al., V-Net, 2016, arXiv:1606.04797, section 3",
        ),
        Loss(
            name="focal",
            target="segreg.builtins.losses.focal:FocalLoss",
            summary="Cross-entropy that turns towards the pixels still wrong",
            reference="Lin et al., Focal Loss for Dense Object Detection, 2017, arXiv:1708.02002, eq. 4 and 5",
        ),
        Loss(
            name="wsr",
            target="segreg.builtins.losses.wsr:WSRLoss",
            summary="Cross-entropy with a sparsity and a total-variation term",
            reference="Ferreira et al., Physiological Inspired Deep Neural Networks, IEEE Access 6:53930, 2018",
        ),
        Loss(
            name="jaccard",
            target="segreg.builtins.losses.jaccard:JaccardLoss",
            summary="Soft Jaccard: one minus intersection over union",
            reference="Rahman and Wang, Optimizing Intersection-over-Union, 2016",
        ),
        Loss(
            name="tversky",
            target="segreg.builtins.losses.tversky:TverskyLoss",
            summary="Dice with separate weights for false positives and false negatives",
            reference="Salehi et al., Tversky loss function, 2017, arXiv:1706.05721",
        ),
        Loss(
            name="focal-tversky",
            target="segreg.builtins.losses.focal_tversky:FocalTverskyLoss",
            summary="A root of Tversky, steeper where an image is nearly right",
            reference="Abraham and Khan, A Novel Focal Tversky Loss Function, 2018, arXiv:1810.07842",
        ),
        Loss(
            name="lovasz",
            target="segreg.builtins.losses.lovasz:LovaszLoss",
            summary="Convex surrogate of the Jaccard index (hinge for one logit, softmax for several)",
            reference="Berman et al., The Lovász-Softmax loss, 2018, arXiv:1705.08790, eq. 8, 9 and 11",
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
            reference="Jaccard, The Distribution of the Flora in the Alpine Zone, 1912",
        ),
        Metric(
            name="dice",
            target="segreg.builtins.metrics.dice:Dice",
            definition="dice",
            summary="Twice the intersection over the sum of both areas; the F1 score",
            reference="Dice, Measures of the Amount of Ecologic Association Between Species, 1945",
            aliases=("f1",),
        ),
        Metric(
            name="accuracy",
            target="segreg.builtins.metrics.accuracy:Accuracy",
            definition="accuracy",
            summary="Share of pixels that are right",
            reference=_SEGNET,
        ),
        Metric(
            name="precision",
            target="segreg.builtins.metrics.precision:Precision",
            definition="precision",
            summary="Share of the predicted area that is right",
            reference="van Rijsbergen, Information Retrieval, 1979, chapter 7",
        ),
        Metric(
            name="recall",
            target="segreg.builtins.metrics.recall:Recall",
            definition="recall",
            summary="Share of the true area that is found",
            reference="van Rijsbergen, Information Retrieval, 1979, chapter 7",
        ),
        Metric(
            name="hausdorff95",
            target="segreg.builtins.metrics.hausdorff95:Hausdorff95",
            higher_is_better=False,
            summary="How far the boundaries are apart, but for the farthest 5 %, in pixels",
            reference="Taha and Hanbury, Metrics for Evaluating 3D Medical Image Segmentation, 2015",
            aliases=("hd95",),
            known_failures=_ON_THE_HOST,
        ),
        Metric(
            name="surface-dice",
            target="segreg.builtins.metrics.surface_dice:SurfaceDice",
            summary="Share of both boundaries within a tolerance of the other, in pixels",
            reference="Nikolov et al., Clinically Applicable Segmentation, 2018, arXiv:1809.04430",
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
            example="segreg.builtins.datasets.examples:ph2",
            summary="200 dermoscopic images of melanocytic lesions",
            reference="Mendonça et al., PH2, EMBC 2013; https://www.fc.up.pt/addi/ph2%20database.html",
        ),
        Dataset(
            name="isic",
            target="segreg.builtins.datasets.isic:ISIC",
            example="segreg.builtins.datasets.examples:isic",
            summary="ISIC task 1: X.jpg beside X_segmentation.png",
            reference="Codella et al., ISIC 2017, arXiv:1710.05006; https://challenge.isic-archive.com/data/",
        ),
        Dataset(
            name="folder",
            target="segreg.builtins.datasets.folder:Folder",
            example="segreg.builtins.datasets.examples:folder",
            summary="Your own images: images/ and masks/ with equal stems",
        ),
        Dataset(
            name="camvid",
            target="segreg.builtins.datasets.camvid:CamVid",
            example="segreg.builtins.datasets.examples:camvid",
            summary="Road scenes in 11 classes",
            reference="Brostow et al., Semantic Object Classes in Video, 2009; "
            "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
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
            reference="https://www.tensorflow.org/tensorboard",
        ),
    ]

"""What a file may hold before a runtime opens it: operations that compute, and no way to another file.

A SavedModel is a program: TensorFlow has operations that read and write files or call back into Python, and some of
them run as soon as it is loaded. So only operations that compute are let through, those that exports are made of; the
functions that save and restore its variables are in every SavedModel, but nothing may call them or answer by them.
A .tflite file has no such operations, but may ask for code of others (custom operations) and for weights elsewhere.
ONNX and OpenVINO's files are handed to their runtimes as bytes, which then find no other file.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kerasnets.artifacts.formats import Format, litert, litert_int8, savedmodel
from kerasnets.console import import_tensorflow
from kerasnets.errors import CheckFailed

_NEURAL = """
    AvgPool BiasAdd Conv2D DepthwiseConv2dNative Elu FusedBatchNormV3 LRN LeakyRelu LogSoftmax MaxPool Relu Relu6 Selu
    Sigmoid Softmax Softplus Softsign Tanh ResizeBilinear
"""
_GRADIENTS = """
    AvgPoolGrad BiasAddGrad BroadcastGradientArgs ConcatOffset Conv2DBackpropInput DepthwiseConv2dNativeBackpropInput
    DynamicStitch EluGrad FusedBatchNormGradV3 LRNGrad LeakyReluGrad MaxPoolGrad MirrorPadGrad PreventGradient
    ReciprocalGrad Relu6Grad ReluGrad ResizeBilinearGrad RsqrtGrad SeluGrad ShapeN SigmoidGrad SoftplusGrad
    SoftsignGrad SqrtGrad StopGradient TanhGrad
"""
_NUMBERS = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin BatchMatMulV2 Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor Cast Ceil
    ClipByValue Cos Cumprod Cumsum DivNoNan Einsum Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual
    Invert IsFinite IsInf IsNan LeftShift Less LessEqual LinSpace Log Log1p LowerBound Mod Sin TruncateDiv TruncateMod
    UpperBound Xdivy
    LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mul Neg NotEqual Pow Prod RealDiv Reciprocal
    RightShift Rint Round Rsqrt Sign Sqrt Square SquaredDifference Sub Sum TopKV2
"""
_SHAPES = """
    BroadcastArgs InvertPermutation Roll ScatterNd TensorScatterUpdate Unique
    BroadcastTo ConcatV2 EnsureShape ExpandDims Fill GatherNd GatherV2 Identity IdentityN MirrorPad OneHot OnesLike Pack
    Pad PadV2 Range Rank Reshape ReverseV2 Select SelectV2 Shape Size Slice Split SplitV Squeeze StridedSlice Tile
    Transpose Unpack Where ZerosLike
"""
_IMAGES = """
    DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw DecodeWebP RegexFullMatch
    ReduceJoin RegexReplace StaticRegexFullMatch StaticRegexReplace StringJoin StringLength StringSplitV2 StringToNumber
    Substr
"""
_CONTROL = """
    Assert Case Const DisableCopyOnRead EmptyTensorList If NoOp PartitionedCall Placeholder ReadVariableOp
    StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile TensorListConcatV2 TensorListElementShape
    TensorListFromTensor TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListSetItem TensorListSplit TensorListStack While
"""
COMPUTING = frozenset(" ".join((_NEURAL, _GRADIENTS, _NUMBERS, _SHAPES, _IMAGES, _CONTROL)).split())
_SAVING = frozenset({"AssignVariableOp", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
_VARIABLES = frozenset({"AssignVariableOp", "VarHandleOp", "VarIsInitializedOp"})
_SAVERS = re.compile(r"__inference__traced_(save|restore)_\d+")
_OBJECTS = frozenset({"asset", "bare_concrete_function", "constant", "function", "user_object", "variable"})


PROGRAMS = (savedmodel.NAME, litert.NAME, litert_int8.NAME)
"""Formats whose files may hold more than what computes; the runtimes of the others know nothing else."""


def ensure(form: Format, directory: Path) -> None:
    """See that the artefact of a format in `directory`, which may be anybody's, can do no more than compute.

    Raises:
        CheckFailed: it could, or it is no such file.
    """
    if form.NAME == savedmodel.NAME:
        import_tensorflow()
    try:
        check(form, directory)
    except Exception as error:  # whatever a parser raises of a file that is not what it should be
        raise CheckFailed(f"{directory / form.FILE} {error}; it was not opened") from error


def check(form: Format, directory: Path) -> None:
    """See that the artefact of a format in `directory` can do no more than compute.

    Raises:
        ValueError: it could; or it is no such file.
    """
    if form.NAME == savedmodel.NAME:
        check_saved_model(directory)
    elif form.NAME in (litert.NAME, litert_int8.NAME):
        check_lite_model(directory / form.FILE)


def check_lite_model(path: Path) -> None:
    """See that a .tflite file needs no other file and no code but the runtime's own.

    Raises:
        ValueError: it does.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes())
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    for code in codes:
        if schema.BuiltinOperator.CUSTOM in (code.BuiltinCode(), code.DeprecatedBuiltinCode()):
            name = (code.CustomCode() or b"").decode("utf-8", "replace")
            raise ValueError(f"holds the custom operation {name}, of which no export is made")
    if model.ExternalBuffersLength() or model.ExternalBufferGroupsLength():
        raise ValueError("has weights in other files")


def check_saved_model(directory: Path) -> None:
    """See that a SavedModel can do no more than compute.

    Raises:
        ValueError: it could; or it is none.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((directory / savedmodel.FILE).read_bytes())
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise ValueError("is not a SavedModel of TensorFlow 2")
    (meta,) = saved.meta_graphs
    _only(meta.graph_def.node, COMPUTING | _VARIABLES)
    for function in meta.graph_def.library.function:
        saver = _SAVERS.fullmatch(function.signature.name) is not None
        _only(function.node_def, COMPUTING | _SAVING if saver else COMPUTING)
        if called := next((name for name in _called(function.node_def) if _SAVERS.fullmatch(name)), None):
            raise ValueError(f"calls {called}, which writes or reads files")
    _only_objects(meta.object_graph_def)


def _only(nodes: Iterable[Any], allowed: frozenset[str]) -> None:
    odd = next((node.op for node in nodes if node.op not in allowed), None)
    if odd is not None:
        raise ValueError(f"holds the operation {odd}, of which no export is made")


def _called(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the functions that nodes call."""
    for node in nodes:
        yield node.op
        for value in node.attr.values():
            yield from (value.func.name, *(function.name for function in value.list.func))


def _only_objects(graph: Any) -> None:
    """See that loading calls no function, and that nothing which can be called once it is loaded is a saver.

    Resources, and objects with savers of their own, have functions called while they are loaded.
    """
    for node in graph.nodes:
        kind = node.WhichOneof("kind")
        if kind not in _OBJECTS or node.registered_saver:
            raise ValueError(f"holds a {kind or 'nameless object'}, of which no export is made")
        names = (*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name)
        if saver := next((name for name in names if _SAVERS.fullmatch(name)), None):
            raise ValueError(f"answers by {saver}, which writes or reads files")
        functions = {
            index for saver in node.saveable_objects.values() for index in (saver.save_function, saver.restore_function)
        }
        if functions - {0}:
            raise ValueError("restores an object by a function of its own")
